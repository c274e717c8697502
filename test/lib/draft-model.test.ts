import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { LLM } from 'node-tensorrt-llm';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { failsAbout, failsWith } from '../tools/fails-with.js';

/** The tiny engine with a file of another text. */
async function tinyEngineWith(name: string, change: (text: string) => string): Promise<string> {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  await writeFile(join(dir, name), change(await readFile(join(dir, name), 'utf8')));
  return dir;
}

const drafting = async (engineDir: string | URL, tpSize = 1): Promise<LLM> =>
  LLM.load(await tinyEngine(tpSize), { executor: 'cpu', decoding: { draftModel: { engineDir } } });

test('a draft model with other tokens is refused by the first that differs', async () => {
  const engineDir = await tinyEngineWith('tokenizer.json', (text) => text.replaceAll('<|im_start|>', '<|start|>'));
  await assert.rejects(
    drafting(engineDir),
    failsAbout('decoding.draftModel', 'ERR_INVALID_OPTION', /token 257 is "<\|start\|>"; expected "<\|im_start\|>"/),
  );
});

test('a draft model that is not an engine directory is refused like an engine', async () => {
  await assert.rejects(drafting('/nowhere'), failsWith('ERR_ENGINE_NOT_FOUND', '/nowhere'));
});

test('a draft model with another number of ranks is refused', async () => {
  await assert.rejects(
    drafting(await tinyEngine(), 2),
    failsAbout(
      'decoding.draftModel',
      'ERR_INVALID_OPTION',
      /has tpSize 1 and ppSize 1; expected tpSize 2 and ppSize 1/,
    ),
  );
});

test('a tokenizer.json written in another way has the same tokens, and ranks draft too, before and after a sleep', async () => {
  const indented = await tinyEngineWith('tokenizer.json', (text) => JSON.stringify(JSON.parse(text), null, 4));
  const options = { temperature: 0, ignoreEos: true, maxTokens: 20 };
  const texts: string[] = [];
  for (const [engineDir, ranks] of [
    [indented, 1],
    [await tinyEngine(2), 2],
  ] as const) {
    const llm = await drafting(pathToFileURL(engineDir), ranks);
    try {
      texts.push((await llm.generate('Once', options)).text);
      assert.ok(llm.stats().draftTokensAccepted > 0);
      await llm.sleep();
      await llm.wake();
      texts.push((await llm.generate('Once', options)).text);
      assert.ok(llm.stats().draftTokensAccepted > 0);
    } finally {
      await llm.close();
    }
  }
  assert.deepEqual(new Set(texts).size, 1);
});
