import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { pathOf } from '#lib/base/paths.js';
import { failsWith } from '../../tools/fails-with.js';

test('a path may be given as a file: URL, as a string too', () => {
  assert.equal(pathOf('dir', 'engines/a%20b'), resolve('engines/a%20b'));
  for (const url of ['file:///engines/a%20b', 'FILE:/engines/a%20b', new URL('file:///engines/a%20b')]) {
    assert.equal(pathOf('dir', url), '/engines/a b');
  }
});

test('a path that only begins like a URL stays a path', () => {
  assert.equal(pathOf('dir', 'file:engine'), resolve('file:engine'));
});

test('a URL that is not of a file here is refused by name', () => {
  for (const url of ['file://host/engine', 'file:///a%2Fb', new URL('file:///a%2Fb'), new URL('https://host/engine')]) {
    assert.throws(
      () => pathOf('dir', url),
      failsWith('ERR_INVALID_OPTION', /^dir is .*; expected a path or a file: URL/),
    );
  }
});
