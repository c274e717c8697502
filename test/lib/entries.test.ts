import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';

const require = createRequire(import.meta.url);
const { exports } = require('node-tensorrt-llm/package.json') as { exports: Record<string, object> };
const entries = Object.keys(exports).filter((entry) => entry !== './package.json');
assert.ok(entries.length > 1);

for (const entry of entries) {
  const name = entry.replace('.', 'node-tensorrt-llm');
  test(`require('${name}') gives what import gives, and no second copy`, async () => {
    assert.ok('require' in (exports[entry] ?? {}), 'TypeScript finds no types for CommonJS');
    const imported = (await import(name)) as Record<string, unknown>;
    const required = require(name) as Record<string, unknown>;
    assert.deepEqual(Object.keys(required), Object.keys(imported));
    for (const [key, value] of Object.entries(imported)) assert.equal(required[key], value, key);
  });
}
