import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { promises } from 'node:fs';
import { cp, readdir, rm } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { convert, LLM, type LoadOptions } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { ends, runProgram } from '../../tools/programs.js';
import { recordingLogger } from '../../tools/recording-logger.js';
import { TINY_LLAMAS, writeTinyLlama } from '../../tools/tiny-llama.js';
import type { Work } from './programs/load-left.js';

/** A copy of a directory in which one file is a pipe that nobody writes to. */
async function withPipe(dir: string, name: string): Promise<string> {
  const copy = join(await temporaryDirectory(), 'copy');
  await cp(dir, copy, { recursive: true });
  await rm(join(copy, name), { force: true });
  execFileSync('mkfifo', [join(copy, name)]);
  return copy;
}

const ALSO_READ = ['chat_template.jinja', 'tokenizer_config.json', 'special_tokens_map.json', 'generation_config.json'];

test('a pipe in place of any file of an engine is refused, and named', async () => {
  const names = new Set([...(await readdir(await tinyEngine())), ...ALSO_READ]);
  for (const name of names) {
    const dir = await withPipe(await tinyEngine(), name);
    await assert.rejects(LLM.load(dir), (error) => {
      assert.match(String(error), /LLMError: .*(no regular|not a) file/);
      return String(error).includes(join(dir, name));
    });
  }
});

const sources: Record<string, () => Promise<string>> = {
  'a Hugging Face directory': async () => {
    const source = join(await temporaryDirectory(), 'source');
    await writeTinyLlama(source, TINY_LLAMAS.text);
    return source;
  },
  'an engine directory': tinyEngine,
};

for (const [kind, make] of Object.entries(sources)) {
  test(`a pipe in place of any file of ${kind} is refused by convert, and named`, async () => {
    const source = await make();
    for (const name of new Set([...(await readdir(source)), ...ALSO_READ])) {
      if (name === 'manifest.json') continue; // convert makes its own
      const dir = await withPipe(source, name);
      await assert.rejects(convert(dir, join(await temporaryDirectory(), 'out')), (error) => {
        assert.match(String(error), /LLMError: .*(no regular|not a) file/);
        return String(error).includes(join(dir, name));
      });
    }
  });
}

/** Runs while calls of this function never settle, as on a network file system whose server is gone. */
async function whileHanging(name: 'open' | 'readdir' | 'stat', run: () => Promise<void>): Promise<void> {
  const original = promises[name];
  Object.assign(promises, { [name]: () => new Promise(() => {}) });
  syncBuiltinESMExports();
  try {
    await run();
  } finally {
    Object.assign(promises, { [name]: original });
    syncBuiltinESMExports();
  }
}

for (const name of ['open', 'readdir', 'stat'] as const) {
  test(`a load ends by loadTimeoutMs or its signal while ${name}() hangs`, async () => {
    const dir = await tinyEngine();
    await whileHanging(name, async () => {
      await assert.rejects(LLM.load(dir, { loadTimeoutMs: 1 }), failsWith('ERR_LOAD_TIMEOUT', dir, '1 ms'));
      const controller = new AbortController();
      const load = LLM.load(dir, { signal: controller.signal });
      await setImmediate();
      controller.abort('enough');
      await assert.rejects(load, (reason) => reason === 'enough');
    });
  });
}

test('a load that does not answer is left, and what it loads after all is freed', async () => {
  const { logger, lines } = recordingLogger();
  const dir = await scriptedEngine({ silent_ms: 3000, log: true });
  const controller = new AbortController();
  const begun = { ...logger, error: () => controller.abort('enough') };
  const options: LoadOptions = { executor: { library: SCRIPTED_LIBRARY }, logger: begun, signal: controller.signal };
  await assert.rejects(LLM.load(dir, options), (reason) => reason === 'enough');
  assert.ok(!lines.includes('info: scripted destroy'));
  while (!lines.includes('info: scripted destroy')) await new Promise((resolve) => setTimeout(resolve, 10));
});

for (const way of ['process.exit()', 'a natural exit'] as const) {
  test(`a load that does not answer does not keep the process: ${way}`, async () => {
    const work: Work = { engine: await scriptedEngine({ silent_ms: 3_600_000, log: true }), way };
    const exit = await runProgram(new URL('./programs/load-left.js', import.meta.url), work);
    ends(exit, { status: way === 'a natural exit' ? 0 : 7, told: ['enough'] });
  });
}
