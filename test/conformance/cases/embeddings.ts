import assert from 'node:assert/strict';
import { assertNear, GREEDY, LONG, PROMPT, TOLERANCE_BETWEEN_BATCHES, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const TEXTS = [PROMPT, 'The cat sat on the mat.', 'a'];
const lengthOf = (vector: Float32Array): number => Math.hypot(...vector);

function assertAlike(found: Float32Array | undefined, expected: Float32Array | undefined): void {
  assert.ok(found && expected && found.length === expected.length);
  const difference = lengthOf(found.map((value, i) => value - (expected[i] as number))) / lengthOf(expected);
  assert.ok(difference < TOLERANCE_BETWEEN_BATCHES, `vectors differ by ${difference} of their length`);
}

conformance(
  ['embeddings', 'a model'],
  'embed() gives each input a vector of length 1 in its order, together as alone',
  async ({ llm }) => {
    const { embeddings, usage } = await llm.embed(TEXTS);
    assert.equal(embeddings.length, TEXTS.length);
    let promptTokens = 0;
    for (const [i, text] of TEXTS.entries()) {
      const vector = embeddings[i] as Float32Array;
      assert.equal(vector.length, llm.info.hiddenSize);
      assertNear(lengthOf(vector), 1, 'the length');
      const alone = await llm.embed({ tokens: await llm.tokenizer.encode(text) });
      assertAlike(alone.embeddings[0], vector);
      promptTokens += alone.usage.promptTokens;
    }
    assert.deepEqual(
      { ...usage, cachedTokens: 0 },
      { promptTokens, cachedTokens: 0, completionTokens: 0, totalTokens: promptTokens },
    );
  },
);

conformance(
  ['embeddings', 'a model'],
  "pooling 'mean' is the mean of each token's vector, 'last' and 'cls' those of the last and the first",
  async ({ llm }) => {
    const tokens = [...(await llm.tokenizer.encode(PROMPT))];
    const of = async (pooling: 'last' | 'mean' | 'cls', count: number) => {
      const input = { tokens: tokens.slice(0, count) };
      return (await llm.embed(input, { pooling, normalize: false })).embeddings[0] as Float32Array;
    };
    const lasts = await Promise.all(tokens.map((_, i) => of('last', i + 1)));
    const mean = lasts[0]?.map((_, i) => lasts.reduce((sum, last) => sum + (last[i] as number), 0) / lasts.length);
    assertAlike(await of('mean', tokens.length), mean);
    assertAlike(await of('cls', tokens.length), lasts[0]);
  },
);

conformance(
  ['embeddings', 'a model', 'batch invariance'],
  'an embedding beside a running request changes neither',
  async ({ llm }) => {
    const [alone] = (await llm.embed(PROMPT)).embeddings;
    const asked = { ...GREEDY, maxTokens: 24 };
    const expected = tokensOf(await llm.generate(PROMPT, asked));
    const [result, { embeddings }] = await Promise.all([llm.generate(PROMPT, asked), llm.embed([PROMPT, PROMPT])]);
    assert.deepEqual(tokensOf(result), expected);
    for (const each of embeddings) assertAlike(each, alone);
  },
);

conformance(
  ['embeddings', 'prefix cache'],
  "an embedding with pooling 'last' starts from cached blocks, and the others compute the whole prompt",
  async ({ load }) => {
    const llm = await load();
    const tokens = Array.from({ length: 2 * llm.info.tokensPerBlock + 1 }, (_, i) => 3 + ((i * 11) % 90));
    const cached = async (pooling: 'last' | 'mean' | 'cls') =>
      (await llm.embed({ tokens }, { pooling })).usage.cachedTokens;
    assert.equal(await cached('mean'), 0);
    assert.equal(await cached('last'), 2 * llm.info.tokensPerBlock);
    assert.equal(await cached('cls'), 0);
  },
);

conformance(['embeddings'], 'embed() rejects with the reason of its signal', async ({ llm }) => {
  await llm.embed(PROMPT);
  const reason = new Error('enough');
  await assert.rejects(llm.embed(TEXTS, { signal: AbortSignal.abort(reason) }), reason);
});

conformance(
  ['promptLogprobs', 'a model'],
  'score() gives each continuation the sum of its promptLogprobs, and finds the greedy one',
  async ({ llm }) => {
    const prompt = { tokens: await llm.tokenizer.encode(PROMPT) };
    const { length } = prompt.tokens;
    const greedy = tokensOf(await llm.generate(prompt, { ...GREEDY, maxTokens: 4 }));
    const other = greedy.with(2, (greedy[2] as number) === 70 ? 71 : 70);
    const { scores, usage } = await llm.score(prompt, [{ tokens: greedy }, { tokens: other }]);
    assert.deepEqual(
      scores.map(({ isGreedy }) => isGreedy),
      [true, false],
    );
    assert.equal(usage.promptTokens, 2 * (length + 4));
    for (const [i, continuation] of [greedy, other].entries()) {
      const whole = { tokens: [...prompt.tokens, ...continuation] };
      const { promptLogprobs = [] } = await llm.generate(whole, { ...GREEDY, maxTokens: 0, promptLogprobs: true });
      const expected = promptLogprobs.slice(length);
      const { logprob, tokens } = scores[i] as (typeof scores)[number];
      assert.deepEqual(
        tokens.map(({ token }) => token),
        continuation,
      );
      for (const [j, each] of tokens.entries()) {
        assertNear(each.logprob, expected[j]?.logprob, `token ${j}`, TOLERANCE_BETWEEN_BATCHES);
      }
      const sum = expected.reduce((sum, each) => sum + (each?.logprob ?? Number.NaN), 0);
      assertNear(logprob / 4, sum / 4, 'the mean', TOLERANCE_BETWEEN_BATCHES);
    }
  },
);

conformance(
  ['promptLogprobs', 'prefix cache'],
  'the continuations of score() share what their prompt computes',
  async ({ load }) => {
    const llm = await load();
    const tokens = Array.from({ length: 2 * llm.info.tokensPerBlock + 1 }, (_, i) => 3 + ((i * 13) % 90));
    const { usage } = await llm.score({ tokens }, [{ tokens: [5] }, { tokens: [6, 7] }, { tokens: [8] }]);
    assert.equal(usage.cachedTokens, 2 * 2 * llm.info.tokensPerBlock);
  },
);

conformance([], 'health() resolves where the executor computes, beside other requests too', async ({ llm }) => {
  await llm.health();
  const running = llm.stream(PROMPT, LONG);
  await llm.health({ timeoutMs: 30_000 });
  running.abort();
});
