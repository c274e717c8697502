import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { packageWith } from '../tools/package-copy.js';
import { engineWithConfig, TENSORRT_LLM_LIBRARY } from '../tools/tensorrt-llm.js';

const root = join(createRequire(import.meta.url).resolve('node-tensorrt-llm/package.json'), '..');

const unavailable = (words: RegExp) => failsWith('ERR_EXECUTOR_UNAVAILABLE', words);

test('an executor this version comes without is one error that names the file it needs', async () => {
  const engine = await tinyEngine();
  const bare = await packageWith();
  await assert.rejects(
    bare.LLM.load(engine, { executor: 'cuda' }),
    unavailable(/libexecutor_cuda\.so.* Reinstall .* npm run build:cuda\. .*'cpu'/),
  );
  const tensorrt = bare.LLM.load(engine, { executor: 'tensorrt-llm' });
  await assert.rejects(tensorrt, unavailable(/libexecutor_tensorrt_llm\.so/));
});

test("an engine of trtllm-build is for 'tensorrt-llm', which is taken without being named", async () => {
  const engine = await engineWithConfig();
  await assert.rejects(LLM.load(engine), unavailable(/libexecutor_tensorrt_llm\.so/));
  await assert.rejects(LLM.load(engine, { executor: 'cpu' }), unavailable(/holds a TensorRT engine.*'tensorrt-llm'/));
});

test('a directory with both kinds of weights runs on each executor, which tells its own facts', async () => {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  const config = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
  await writeFile(join(dir, 'config.json'), JSON.stringify({ ...config, version: '1.2.1' }));
  await writeFile(join(dir, 'rank0.engine'), 'the stand-in runs the checkpoint beside it');
  const cpu = await LLM.load(dir, { executor: 'cpu' });
  const tensorRt = await LLM.load(dir, { executor: { library: TENSORRT_LLM_LIBRARY } });
  assert.deepEqual([cpu.info.executor, tensorRt.info.executor], ['cpu', 'tensorrt-llm']);
  assert.notDeepEqual(cpu.capabilities, tensorRt.capabilities);
  const texts = await Promise.all(
    [cpu, tensorRt].map(async (llm) => (await llm.generate('Once', { maxTokens: 8, temperature: 0 })).text),
  );
  assert.equal(texts[0], texts[1]);
  await Promise.all([cpu.close(), tensorRt.close()]);
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
