import assert from 'node:assert/strict';
import type { Logits, Result } from 'node-tensorrt-llm';
import { failsAbout } from '../../tools/fails-with.js';
import { GREEDY, LONG, onlyOutput, PROMPT, readWhole, textOf, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const prompts = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${'prompt '.repeat(1 + (i % 9))}${i}`);

conformance([], '256 streams at once each give their own chunks to the end', async ({ llm }) => {
  const all = prompts(256).map(async (prompt, i) => {
    const maxTokens = 1 + (i % 32);
    const { chunks, result } = await readWhole(llm.stream(prompt, { ...GREEDY, maxTokens }));
    assert.equal(textOf(chunks), result.text);
    assert.equal(result.text, llm.tokenizer.decode(tokensOf(result)));
    assert.deepEqual([result.usage.completionTokens, result.finishReason], [maxTokens, 'length']);
  });
  await Promise.all(all);
});

conformance(
  ['batch invariance'],
  'each of 24 requests at once gives the tokens it gives alone, greedy or drawn',
  async ({ llm }) => {
    for (const options of [
      { ...GREEDY, maxTokens: 20 },
      { ignoreEos: true, temperature: 1, seed: 9, maxTokens: 20 },
    ]) {
      const together = await llm.generate(prompts(24), options);
      for (const [i, prompt] of prompts(24).entries()) {
        assert.deepEqual(
          tokensOf(together[i] as (typeof together)[number]),
          tokensOf(await llm.generate(prompt, options)),
        );
      }
    }
  },
);

conformance(
  ['batch invariance'],
  'requests that start, end and abort beside one leave its tokens alone',
  async ({ llm }) => {
    const options = { ...GREEDY, maxTokens: 60 };
    const expected = tokensOf(await llm.generate(PROMPT, options));
    const neighbours = prompts(20).map((prompt) => llm.stream(prompt, LONG));
    const { result } = await readWhole(llm.stream(PROMPT, options), () => {
      neighbours.pop()?.abort();
      void llm.stream('a short one', { ...GREEDY, maxTokens: 3 }).result;
    });
    for (const each of neighbours) each.abort();
    assert.deepEqual(tokensOf(result), expected);
  },
);

/** The bits of a result's logits, of the prompt and of the output. */
const bitsOf = (result: Result): Buffer[] => {
  const all = [result.contextLogits, onlyOutput(result).generationLogits] as Logits[];
  return all.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
};

conformance(
  ['a model', 'batch invariance', 'chunks', 'contextLogits', 'generationLogits'],
  'contextLogits and generationLogits of a request are the same bits alone, in a crowd and in chunks',
  async ({ llm, load }) => {
    const options = { ...GREEDY, maxTokens: 8, returnContextLogits: true, returnGenerationLogits: true };
    const some = prompts(12);
    const alone: Buffer[][] = [];
    for (const prompt of some) alone.push(bitsOf(await llm.generate(prompt, options)));
    assert.deepEqual((await llm.generate(some, options)).map(bitsOf), alone);
    const inChunks = await load({ maxNumTokens: 16, maxBatchSize: 2 });
    assert.deepEqual((await inChunks.generate(some, options)).map(bitsOf), alone);
  },
);

conformance([], 'batchInvariant is taken, or refused by its name', async ({ load }) => {
  const refused = failsAbout('batchInvariant', 'ERR_UNSUPPORTED');
  const llm = await load({ batchInvariant: true }).catch((error: unknown) => void refused(error));
  if (!llm) return;
  assert.equal((await llm.generate(PROMPT, { ...GREEDY, maxTokens: 4 })).usage.completionTokens, 4);
});
