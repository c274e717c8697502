import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';

const PROMPT = { tokens: [1, 2, 3] };

/** A directory that holds the config.json of the tiny engine and nothing else. */
async function configAlone(): Promise<string> {
  const dir = await temporaryDirectory();
  await copyFile(join(await tinyEngine(), 'config.json'), join(dir, 'config.json'));
  return dir;
}

async function withDummy<T>(options: LoadOptions, run: (llm: LLM) => Promise<T>): Promise<T> {
  const llm = await LLM.load(await configAlone(), { executor: 'cpu', loadFormat: 'dummy', ...options });
  try {
    return await run(llm);
  } finally {
    await llm.close();
  }
}

test('a config.json alone is enough for tokens, and each load makes the same model', async () => {
  const tokensOf = (options: LoadOptions) =>
    withDummy(options, async (llm) => {
      const { outputs } = await llm.generate(PROMPT, { temperature: 0, maxTokens: 20, ignoreEos: true });
      return [...(outputs[0]?.tokens ?? [])];
    });
  const first = await tokensOf({});
  assert.equal(first.length, 20);
  assert.deepEqual(await tokensOf({ executor: 'auto', threads: 1 }), first);
  assert.deepEqual(await tokensOf({ isolation: 'process' }), first);
});

test('text still needs a tokenizer', () =>
  withDummy({}, async (llm) => {
    await assert.rejects(llm.generate('Once'), failsWith('ERR_TOKENIZER_MISSING', /tokenizer\.json/));
  }));

test("with 'auto' the weights must be there", async () => {
  const loading = LLM.load(await configAlone(), { executor: 'cpu', loadFormat: 'auto' });
  await assert.rejects(loading, failsWith('ERR_ENGINE_RANKS', /rank0\.safetensors/));
});
