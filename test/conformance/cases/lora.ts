import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { LLM, Result } from 'node-tensorrt-llm';
import { temporaryDirectory } from '../../tools/engines.js';
import { failsAbout } from '../../tools/fails-with.js';
import { tinyAdapterTensors, writeAdapter } from '../../tools/tiny-adapter.js';
import { GREEDY, onlyOutput, PROMPT, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const OPTIONS = { ...GREEDY, maxTokens: 8 } as const;

async function adapterOf(llm: LLM, seed: number) {
  const dir = join(await temporaryDirectory(), 'adapter');
  return llm.readAdapter(await writeAdapter(dir, await tinyAdapterTensors(llm.info.dir, seed)));
}

conformance(
  ['lora', 'a model', 'batch invariance', 'generationLogits'],
  'adapters and none run together and change no bit of each other',
  async ({ llm }) => {
    const options = { ...OPTIONS, returnGenerationLogits: true };
    const logitsOf = (result: Result) => [...(onlyOutput(result).generationLogits?.data ?? [])];
    const [one, two] = await Promise.all([adapterOf(llm, 1), adapterOf(llm, 2)]);
    const ways = [{ lora: one }, {}, { lora: two }, { lora: one }];
    const alone: Result[] = [];
    for (const way of ways) alone.push(await llm.generate(PROMPT, { ...options, ...way }));
    const together = await Promise.all(ways.map((way) => llm.generate(PROMPT, { ...options, ...way })));
    assert.deepEqual(together.map(tokensOf), alone.map(tokensOf));
    assert.deepEqual(together.map(logitsOf), alone.map(logitsOf));
    assert.equal(new Set(alone.map((each) => String(tokensOf(each)))).size, 3, 'each adapter changes the output');
  },
);

conformance(['lora', 'a model'], 'an adapter is named by its id once a request has brought it', async ({ llm }) => {
  const lora = await adapterOf(llm, 3);
  const brought = await llm.generate(PROMPT, { ...OPTIONS, lora });
  assert.notDeepEqual(tokensOf(brought), tokensOf(await llm.generate(PROMPT, OPTIONS)), 'it changes the output');
  const named = await llm.generate(PROMPT, { ...OPTIONS, lora: { id: lora.id } });
  assert.deepEqual(tokensOf(named), tokensOf(brought));
  const unknown = llm.generate(PROMPT, { ...OPTIONS, lora: { id: lora.id + 1 } });
  await assert.rejects(unknown, failsAbout('lora', 'ERR_INVALID_INPUT', /cache.* [Ss]end/));
});

conformance(['lora', 'prefix cache'], 'a prompt is cached for requests of the same adapter alone', async ({ load }) => {
  const llm = await load();
  const lora = await adapterOf(llm, 4);
  const tokens = Array.from({ length: llm.info.tokensPerBlock + 1 }, (_, i) => 3 + (i % 90));
  const cached: number[] = [];
  for (const way of [{}, { lora }, {}, { lora }]) {
    const { usage } = await llm.generate({ tokens }, { ...OPTIONS, ...way });
    cached.push(usage.cachedTokens);
  }
  const { tokensPerBlock } = llm.info;
  assert.deepEqual(cached, [0, 0, tokensPerBlock, tokensPerBlock]);
});
