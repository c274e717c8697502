import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { capabilitiesOf } from '#lib/capabilities.js';
import { fromExecutor } from '#lib/native.js';

// lib/ has some numbers of native/executor/*.h a second time. The headers are the contract.
const root = dirname(createRequire(import.meta.url).resolve('node-tensorrt-llm/package.json'));
const header = (name: string): string => readFileSync(join(root, 'native/executor', name), 'utf8');

test('every code of the contract becomes the error code that its header names', () => {
  const codes = [...header('types.h').matchAll(/^ {2}EXECUTOR_\w+ = (\d+), +\/\/ (ERR_\w+)/gm)];
  assert.ok(codes.length > 10);
  for (const [, number, code] of codes) assert.equal(fromExecutor(Number(number), '').code, code);
});

test('every capability bit of the contract has its name', () => {
  const bits = [...header('executor.h').matchAll(/^ {2}CAN_(\w+) = 1ull << (\d+),/gm)];
  const named = (bit: number): string[] =>
    Object.entries(capabilitiesOf(2 ** bit)).flatMap(([name, has]) => (has ? [name] : []));
  const camelCase = (name: string): string => name.toLowerCase().replaceAll(/_(.)/g, (_, c: string) => c.toUpperCase());
  assert.deepEqual(
    bits.map(([, , bit]) => named(Number(bit))),
    bits.map(([, name]) => [camelCase(name as string)]),
  );
});

test('a message about an option names it as users do', () => {
  assert.equal(fromExecutor(14, 'max_queue_size is 4').message, 'maxQueue is 4');
  assert.equal(fromExecutor(9, 'sampling.sequences is 3').message, 'n (or bestOf) is 3');
  assert.equal(fromExecutor(9, 'kv_cache.max_tokens is 0').message, 'kvCacheTokens is 0');
  assert.equal(fromExecutor(5, 'max_batch_size is no number').message, 'max_batch_size is no number');
});
