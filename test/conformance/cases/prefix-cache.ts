import assert from 'node:assert/strict';
import { assertNear, GREEDY, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const OPTIONS = { ...GREEDY, maxTokens: 8 } as const;

/** Prompt tokens that no other case has, as many as `count` blocks hold and one more. */
function promptOf(blocks: number, info: { tokensPerBlock: number; vocabSize: number }, seed: number): number[] {
  return Array.from({ length: blocks * info.tokensPerBlock + 1 }, (_, i) => 3 + ((i * 7 + seed * 31) % 90));
}

conformance(
  ['prefix cache'],
  'a prompt that starts like an earlier one has cached tokens and the same text',
  async (subject) => {
    const llm = await subject.load();
    const plain = await subject.load({ kvCache: { blockReuse: false } });
    const tokens = promptOf(2, llm.info, 1);
    const before = llm.stats();
    const first = await llm.generate({ tokens }, OPTIONS);
    const second = await llm.generate({ tokens }, OPTIONS);
    const computed = await plain.generate({ tokens }, OPTIONS);
    const { tokensPerBlock } = llm.info;
    assert.deepEqual(
      [first, second, computed].map(({ usage }) => usage.cachedTokens),
      [0, 2 * tokensPerBlock, 0],
    );
    assert.deepEqual(tokensOf(second), tokensOf(first));
    assert.deepEqual(tokensOf(computed), tokensOf(first));
    assert.equal(llm.stats().kvBlocksReused - before.kvBlocksReused, 2);
    const { kvBlocksReused, kvBlocksMissed, timeToLastTokenMs } = second.metrics ?? {};
    assert.deepEqual([first.metrics?.kvBlocksReused, kvBlocksReused, kvBlocksMissed], [0, 2, 1]);
    assert.ok(timeToLastTokenMs !== undefined && timeToLastTokenMs > 0);
  },
);

conformance(
  ['prefix cache', 'batch invariance'],
  'a prompt that ends within a cached block has its tokens cached and the same text',
  async (subject) => {
    const llm = await subject.load({ kvCache: { partialReuse: true } });
    const plain = await subject.load({ kvCache: { blockReuse: false } });
    const { tokensPerBlock } = llm.info;
    const tokens = promptOf(2, llm.info, 16);
    const shared = tokens.slice(0, 2 * tokensPerBlock - 3);
    await llm.generate({ tokens }, OPTIONS);
    const cached = await llm.generate({ tokens: [...shared, 99] }, OPTIONS);
    const computed = await plain.generate({ tokens: [...shared, 99] }, OPTIONS);
    assert.equal(cached.usage.cachedTokens, shared.length);
    assert.deepEqual(tokensOf(cached), tokensOf(computed));
  },
);

conformance(
  ['prefix cache'],
  'prompts that share blocks run at once, though the cache is smaller than all of them',
  async ({ load }) => {
    const { tokensPerBlock } = (await load()).info;
    const llm = await load({ kvCache: { maxTokens: 24 * tokensPerBlock } });
    const shared = promptOf(8, llm.info, 20);
    await llm.generate({ tokens: shared }, OPTIONS);
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, i) => llm.generate({ tokens: [...shared, i, i + 1, i + 2] }, OPTIONS)),
    );
    for (const { usage, outputs } of results) {
      assert.ok(usage.cachedTokens >= 8 * tokensPerBlock); // and what follows them, as long as it is kept
      assert.equal(outputs[0]?.tokens.length, OPTIONS.maxTokens);
    }
  },
);

conformance(
  ['prefix cache', 'promptLogprobs'],
  'promptLogprobs from promptLogprobsStart on are those of the whole prompt, and take what is cached before it',
  async ({ load }) => {
    const llm = await load();
    const tokens = promptOf(2, llm.info, 16);
    const whole = await llm.generate({ tokens }, { ...OPTIONS, promptLogprobs: true });
    const promptLogprobsStart = llm.info.tokensPerBlock + 1;
    const part = await llm.generate({ tokens }, { ...OPTIONS, promptLogprobsStart });
    assert.deepEqual([whole.usage.cachedTokens, part.usage.cachedTokens], [0, llm.info.tokensPerBlock]);
    assert.equal(part.promptLogprobs?.length, tokens.length);
    for (const [i, each] of (part.promptLogprobs ?? []).entries()) {
      if (i < promptLogprobsStart) assert.equal(each, null);
      else assertNear(each?.logprob, whole.promptLogprobs?.[i]?.logprob, `the logprob of prompt token ${i}`);
    }
  },
);

conformance(['prefix cache'], 'what was generated is cached for the next turn', async ({ load }) => {
  const llm = await load();
  const tokens = promptOf(1, llm.info, 2);
  const answer = await llm.generate({ tokens }, { ...OPTIONS, maxTokens: llm.info.tokensPerBlock });
  const next = await llm.generate({ tokens: [...tokens, ...tokensOf(answer), 5] }, OPTIONS);
  assert.equal(next.usage.cachedTokens, 2 * llm.info.tokensPerBlock);
});

conformance(['prefix cache'], 'a conversation goes on in the block that it ended in', async ({ load }) => {
  const llm = await load({ kvCache: { partialReuse: true } });
  const tokens = promptOf(1, llm.info, 17).slice(0, llm.info.tokensPerBlock / 2);
  const answer = tokensOf(await llm.generate({ tokens }, { ...OPTIONS, ignoreEos: true }));
  const next = await llm.generate({ tokens: [...tokens, ...answer, 5] }, OPTIONS);
  assert.equal(next.usage.cachedTokens, tokens.length + answer.length - 1); // the last one was drawn and not computed
});

conformance(['prefix cache'], 'only requests of one cacheSalt share', async ({ load }) => {
  const llm = await load();
  const tokens = promptOf(1, llm.info, 3);
  const cached = async (cacheSalt?: string): Promise<number> =>
    (await llm.generate({ tokens }, { ...OPTIONS, cacheSalt })).usage.cachedTokens;
  assert.equal(await cached('a'), 0);
  assert.equal(await cached('b'), 0);
  assert.equal(await cached(), 0);
  assert.equal(await cached('a'), llm.info.tokensPerBlock);
});

conformance(['prefix cache'], 'a full cache gives up what has the lowest priority', async ({ load }) => {
  const { tokensPerBlock } = (await load()).info;
  const llm = await load({ kvCache: { maxTokens: 6 * tokensPerBlock } });
  const precious = promptOf(1, llm.info, 4);
  const run = (tokens: number[], priority: number) =>
    llm.generate({ tokens }, { ...OPTIONS, kvRetention: { ranges: [{ start: 0, priority }] } });
  await run(precious, 90);
  for (let seed = 5; seed < 15; seed++) await run(promptOf(2, llm.info, seed), 10);
  assert.equal((await run(precious, 90)).usage.cachedTokens, tokensPerBlock);
  assert.equal((await run(promptOf(2, llm.info, 5), 10)).usage.cachedTokens, 0);
});

conformance(['host memory'], 'blocks that the device gives up come back from hostBytes', async ({ load }) => {
  const { info } = await load();
  const { tokensPerBlock } = info;
  const prompts = [30, 31, 32, 33, 34].map((seed) => promptOf(2, info, seed));
  const runTwice = async (hostBytes?: number) => {
    const llm = await load({ kvCache: { maxTokens: 6 * tokensPerBlock, ...(hostBytes && { hostBytes }) } });
    const rounds = [];
    for (const tokens of [...prompts, ...prompts]) rounds.push(await llm.generate({ tokens }, OPTIONS));
    const texts = rounds.map(tokensOf);
    assert.deepEqual(texts.slice(prompts.length), texts.slice(0, prompts.length));
    return rounds.slice(prompts.length).map(({ usage }) => usage.cachedTokens);
  };
  assert.deepEqual(
    await runTwice(2 ** 26),
    prompts.map(() => 2 * tokensPerBlock),
  );
  assert.equal((await runTwice())[0], 0); // the device alone does not hold them all
});
