import assert from 'node:assert/strict';
import { test } from 'node:test';
import { architectureOf, whyNotOn } from '#lib/tensorrt-llm/architectures.js';
import { doubtOf } from '#lib/tensorrt-llm/versions.js';

test('each compute capability has the name of its generation', () => {
  const names = ['6.1', '7.0', '7.5', '8.0', '8.6', '8.9', '9.0', '10.0', '12.0'].map(
    (capability) => architectureOf(capability)?.name,
  );
  assert.deepEqual(names, [
    undefined,
    'Volta',
    'Turing',
    'Ampere',
    'Ampere',
    'Ada',
    'Hopper',
    'Blackwell',
    'Blackwell',
  ]);
});

test('Turing runs 0.13 and 0.14, Volta and older none, Blackwell from 0.17 on, the others all', () => {
  const versions = ['0.13.0', '0.14.0', '0.16.0', '0.17.0', '1.2.1'];
  const runs = (capability: string): string[] =>
    versions.filter((version) => whyNotOn(capability, version) === undefined);
  assert.deepEqual(runs('6.1'), []);
  assert.deepEqual(runs('7.0'), []);
  assert.deepEqual(runs('7.5'), ['0.13.0', '0.14.0']);
  for (const capability of ['8.0', '8.6', '8.9', '9.0']) assert.deepEqual(runs(capability), versions);
  assert.deepEqual(runs('10.0'), ['0.17.0', '1.2.1']);
  assert.match(whyNotOn('7.5', '1.2.1') ?? '', /Turing is 0\.14/);
  assert.match(whyNotOn('12.0', '0.13.0') ?? '', /Blackwell needs TensorRT-LLM 0\.17/);
});

test('a version before 0.13 or after 1.2 is doubted by name, no other', () => {
  for (const version of ['0.13.0.dev2024090300', '0.13.0', '0.21.0rc2', '1.0.0', '1.2.1']) {
    assert.equal(doubtOf(version), undefined, version);
  }
  assert.match(doubtOf('0.12.0') ?? '', /0\.12\.0 is older than 0\.13/);
  assert.match(doubtOf('1.3.0rc1') ?? '', /1\.3\.0rc1 is newer than 1\.2/);
});
