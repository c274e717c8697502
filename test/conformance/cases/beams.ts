import assert from 'node:assert/strict';
import type { Result } from 'node-tensorrt-llm';
import { follow, GREEDY, LONG, PROMPT, readWhole } from '../requests.js';
import { conformance } from '../suite.js';

const BEAMS = { ignoreEos: true, beamWidth: 4, n: 3, maxTokens: 10 } as const;
const tokensOfEach = ({ outputs }: Result): number[][] => outputs.map(({ tokens }) => [...tokens]);

conformance(
  ['beamSearch', 'logprobs', 'a model'],
  'the n best beams come in one chunk each, the likeliest first',
  async ({ llm }) => {
    const { chunks, result } = await readWhole(llm.stream(PROMPT, { ...BEAMS, logprobs: true }));
    assert.deepEqual(
      chunks.map(({ index, text, tokens, finishReason }) => [index, text, [...tokens], finishReason]),
      result.outputs.map(({ index, text, tokens, finishReason }) => [index, text, [...tokens], finishReason]),
    );
    assert.deepEqual(
      result.outputs.map(({ index, tokens, finishReason }) => [index, tokens.length, finishReason]),
      [0, 1, 2].map((index) => [index, 10, 'length']),
    );
    const sums = result.outputs.map(({ cumulativeLogprob }) => cumulativeLogprob as number);
    assert.deepEqual(
      sums,
      [...sums].sort((a, b) => b - a),
    );
    assert.equal(new Set(tokensOfEach(result).map(String)).size, 3);
    assert.equal(result.usage.completionTokens, 30);
  },
);

conformance(
  ['beamSearch', 'a model', 'batch invariance'],
  'beams are the same alone and among other requests',
  async ({ llm }) => {
    const prompts = Array.from({ length: 6 }, (_, i) => ({ tokens: [1 + i, 2, 3 + i] }));
    const alone: number[][][] = [];
    for (const prompt of prompts) alone.push(tokensOfEach(await llm.generate(prompt, BEAMS)));
    const others = llm.generate(prompts, { ...GREEDY, maxTokens: 20 });
    assert.deepEqual((await llm.generate(prompts, BEAMS)).map(tokensOfEach), alone);
    await others;
  },
);

conformance(
  ['beamSearch', 'a model'],
  'lengthPenalty and earlyStopping say which outputs a search with end tokens finds',
  async ({ llm }) => {
    const first = tokensOfEach(await llm.generate(PROMPT, BEAMS))[0] as number[];
    const stopTokens = [[first[2] as number]];
    const options = { ...BEAMS, n: 4, stopTokens, maxTokens: 12 };
    const short = await llm.generate(PROMPT, { ...options, earlyStopping: 'never' });
    const long = await llm.generate(PROMPT, { ...options, earlyStopping: 'never', lengthPenalty: 3 });
    const lengthOf = ({ outputs }: Result): number => outputs.reduce((sum, { tokens }) => sum + tokens.length, 0);
    assert.ok(short.outputs.some(({ finishReason }) => finishReason === 'stop'));
    assert.ok(lengthOf(long) > lengthOf(short), `${lengthOf(long)} tokens, and ${lengthOf(short)} without a penalty`);
  },
);

conformance(['beamSearch'], 'abort() ends a beam search without text', async ({ llm }) => {
  const generation = llm.stream(PROMPT, { ...LONG, beamWidth: 3, n: 2 });
  setImmediate(() => generation.abort());
  const { result } = await readWhole(generation);
  assert.deepEqual(
    result.outputs.map(({ text, finishReason }) => [text, finishReason]),
    [
      ['', 'cancelled'],
      ['', 'cancelled'],
    ],
  );
});

conformance(['beamSearch', 'a model'], 'more beams than maxBeamWidth are refused', async ({ llm, load }) => {
  assert.equal((await llm.generate(PROMPT, { ...BEAMS, n: 1 })).outputs.length, 1);
  const narrow = await load({ maxBeamWidth: 2 });
  assert.equal(narrow.info.maxBeamWidth, 2);
  assert.equal((await narrow.generate(PROMPT, { ...BEAMS, beamWidth: 2, n: 2 })).outputs.length, 2);
  const { thrown } = await follow(narrow.stream(PROMPT, { ...BEAMS, beamWidth: 3 }));
  assert.equal((thrown as { code?: string }).code, 'ERR_INVALID_OPTION');
});
