import assert from 'node:assert/strict';
import type { GenerateOptions, LLM } from 'node-tensorrt-llm';
import { GREEDY, onlyOutput, PROMPT, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const COUNT = 24;
const run = async (llm: LLM, options: GenerateOptions): Promise<number[]> =>
  tokensOf(await llm.generate(PROMPT, { ignoreEos: true, maxTokens: COUNT, ...options }));

conformance(['a model'], 'temperature 0 gives the same tokens whatever the seed', async ({ llm }) => {
  const greedy = await run(llm, { temperature: 0 });
  assert.deepEqual(await run(llm, { temperature: 0, seed: 1 }), greedy);
  assert.deepEqual(await run(llm, { temperature: 0, seed: 2 }), greedy);
});

conformance(['a model'], 'a cut that leaves one token is greedy at any temperature', async ({ llm }) => {
  const greedy = await run(llm, { temperature: 0 });
  assert.deepEqual(await run(llm, { temperature: 3, topK: 1 }), greedy);
  assert.deepEqual(await run(llm, { temperature: 1, topP: 1e-6 }), greedy);
});

conformance(['a model', 'minP'], 'minP 1 leaves the likeliest token at any temperature', async ({ llm }) => {
  assert.deepEqual(await run(llm, { temperature: 3, minP: 1 }), await run(llm, { temperature: 0 }));
});

conformance(['a model'], 'a seed gives the same tokens again, and another seed others', async ({ llm }) => {
  const first = await run(llm, { temperature: 2, seed: 1 });
  assert.deepEqual(await run(llm, { temperature: 2, seed: 1 }), first);
  assert.notDeepEqual(await run(llm, { temperature: 2, seed: 2 }), first);
  assert.notDeepEqual(await run(llm, { temperature: 2, seed: 2 ** 53 - 1 }), first);
});

conformance(['a model'], 'seeds that differ above bit 32 alone give other tokens', async ({ llm }) => {
  assert.notDeepEqual(
    await run(llm, { temperature: 2, seed: 1 + 2 ** 32 }),
    await run(llm, { temperature: 2, seed: 1 }),
  );
});

conformance(['a model'], 'without a seed each request is drawn anew', async ({ llm }) => {
  assert.notDeepEqual(await run(llm, { temperature: 2 }), await run(llm, { temperature: 2 }));
});

conformance(['a model'], 'the temperature changes what a seed draws', async ({ llm }) => {
  assert.notDeepEqual(await run(llm, { temperature: 4, seed: 1 }), await run(llm, { temperature: 0.5, seed: 1 }));
});

conformance(
  ['a model'],
  'a request is greedy by default, and draws where a cut is given or the model says do_sample',
  async ({ load }) => {
    const plain = await load({}, {});
    const greedy = await run(plain, { temperature: 0 });
    assert.deepEqual(await run(plain, {}), greedy);
    assert.notDeepEqual(await run(plain, { topP: 1, seed: 3 }), greedy);
    const sampling = await load({}, { do_sample: true, temperature: 2 });
    const drawn = await run(sampling, { seed: 3 });
    assert.deepEqual(drawn, await run(plain, { temperature: 2, seed: 3 }));
    assert.notDeepEqual(drawn, greedy);
    assert.deepEqual(await run(sampling, { temperature: 0 }), greedy);
  },
);

conformance(
  ['a model'],
  'top_k of generation_config.json is the default of topK, and an option overrides it',
  async ({ load }) => {
    const llm = await load({}, { do_sample: true, temperature: 2, top_k: 1 });
    assert.deepEqual(await run(llm, { seed: 1 }), await run(llm, { temperature: 0 }));
    assert.notDeepEqual(await run(llm, { seed: 1, topK: 0 }), await run(llm, { temperature: 0 }));
  },
);

/** What was drawn at temperature 1, where the probabilities drawn by are those that logprobs tell. */
async function draws(llm: LLM, options: GenerateOptions) {
  const result = await llm.generate(PROMPT, {
    ...GREEDY,
    maxTokens: 60,
    seed: 5,
    topLogprobs: 20,
    ...options,
    temperature: 1,
  });
  return (onlyOutput(result).logprobs ?? []).map(({ token, logprob, top = [] }) => ({ token, logprob, top }));
}

conformance(
  ['a model', 'topLogprobs'],
  'topK draws no token but the so many likeliest, and not the first alone',
  async ({ llm }) => {
    const drawn = await draws(llm, { topK: 4 });
    const ranks = drawn.map(({ token, top }) => top.findIndex((each) => each.token === token));
    assert.ok(
      ranks.every((rank) => rank >= 0 && rank < 4),
      `ranks ${ranks}`,
    );
    assert.ok(new Set(ranks).size > 1);
  },
);

conformance(
  ['a model', 'topLogprobs'],
  'topP draws no token behind those that reach the probability',
  async ({ llm }) => {
    const topP = 0.6;
    const drawn = await draws(llm, { topP });
    let others = 0;
    for (const { token, logprob, top } of drawn) {
      const likelier = top.filter((each) => each.logprob > logprob && each.token !== token);
      const before = likelier.reduce((sum, each) => sum + Math.exp(each.logprob), 0);
      assert.ok(before < topP + 1e-4, `token ${token} was drawn behind a probability of ${before}`);
      if (likelier.length > 0) others++;
    }
    assert.ok(others > 0, 'all were the likeliest');
  },
);

conformance(
  ['a model', 'topLogprobs', 'minP'],
  'minP draws no token below its part of the likeliest one',
  async ({ llm }) => {
    const minP = 0.2;
    const drawn = await draws(llm, { minP });
    const parts = drawn.map(({ logprob, top }) => Math.exp(logprob - (top[0]?.logprob ?? 0)));
    assert.ok(
      parts.every((part) => part >= minP - 1e-4),
      `parts ${parts}`,
    );
    assert.ok(parts.some((part) => part < 0.999));
  },
);
