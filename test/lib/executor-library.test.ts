import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';

const root = join(createRequire(import.meta.url).resolve('node-tensorrt-llm/package.json'), '..');

const unavailable = (words: RegExp) => failsWith('ERR_EXECUTOR_UNAVAILABLE', words);

test('an executor this version comes without is one error that names the file it needs', async () => {
  const engine = await tinyEngine();
  await assert.rejects(LLM.load(engine, { executor: 'cuda' }), unavailable(/libexecutor_cuda\.so.*'cpu'/));
  const tensorrt = LLM.load(engine, { executor: 'tensorrt-llm' });
  await assert.rejects(tensorrt, unavailable(/libexecutor_tensorrt_llm\.so/));
});

test('a library that is missing, is none, or exports no table is refused by name', async () => {
  const engine = await tinyEngine();
  const load = (library: string) => LLM.load(engine, { executor: { library } });
  await assert.rejects(load('/no/such/library.so'), unavailable(/\/no\/such\/library\.so/));
  const text = join(await temporaryDirectory(), 'text.so');
  await writeFile(text, 'no library');
  await assert.rejects(load(text), unavailable(/text\.so could not be opened/));
  const addon = join(root, 'build/Release/node_tensorrt_llm.node');
  await assert.rejects(load(addon), unavailable(/exports no executor_table/));
});
