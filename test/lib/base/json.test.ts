import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readJsonIfThere } from '#lib/base/json.js';
import { failsWith } from '../../tools/fails-with.js';
import { temporaryDirectory } from '../engine/helpers.js';

const FIX = 'Copy it again.';
const read = (file: string, maxBytes?: number) =>
  readJsonIfThere({ file, code: 'ERR_ENGINE_CONFIG', fix: FIX }, maxBytes);

test('a file of settings is refused by its size before it is read', async (t) => {
  const file = join(await temporaryDirectory(t), 'config.json');
  await writeFile(file, '{}');
  await truncate(file, 2 ** 40);
  await assert.rejects(
    read(file),
    failsWith('ERR_ENGINE_CONFIG', file, '1099511627776 bytes; expected at most 8388608'),
  );
  await truncate(file, 2);
  await assert.rejects(read(file, 1), failsWith('ERR_ENGINE_CONFIG', file, '2 bytes; expected at most 1'));
  assert.deepEqual((await read(file, 2))?.object, {});
});

test('a pipe, a device and a directory are refused, and none is waited for', async (t) => {
  const dir = await temporaryDirectory(t);
  const pipe = join(dir, 'pipe.json');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const device = join(dir, 'device.json');
  await symlink('/dev/zero', device);
  for (const file of [pipe, device, dir]) {
    await assert.rejects(read(file), failsWith('ERR_ENGINE_CONFIG', file, 'no regular file'));
  }
  assert.equal(await read(join(dir, 'missing.json')), undefined);
});

test('settings that take much more memory than text are refused before they are parsed', async (t) => {
  const file = join(await temporaryDirectory(t), 'config.json');
  await writeFile(file, `{"a":[${'[],'.repeat(2_500_000)}[]]}`);
  await assert.rejects(read(file), failsWith('ERR_ENGINE_CONFIG', file, 'more than 4000000 values'));
});
