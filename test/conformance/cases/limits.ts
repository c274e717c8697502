import assert from 'node:assert/strict';
import type { LLM, LLMError } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { follow, GREEDY, LONG, onlyOutput, PROMPT, readWhole, started, tokensOf, until } from '../requests.js';
import { conformance } from '../suite.js';

conformance([], 'a prompt and its output fill maxSeqLen tokens, whatever maxTokens says', async ({ load }) => {
  const llm = await load({ maxSeqLen: 32 });
  assert.deepEqual([llm.info.maxSeqLen, llm.info.maxInputLen], [32, 31]);
  const tokens = Array(20).fill(1);
  for (const options of [GREEDY, LONG]) {
    const result = await llm.generate({ tokens }, options);
    assert.deepEqual([onlyOutput(result).tokens.length, result.finishReason], [12, 'length']);
  }
});

conformance(
  [],
  'a prompt that leaves room for one token gives one, and a longer one is ERR_PROMPT_TOO_LONG',
  async ({ load }) => {
    const llm = await load({ maxSeqLen: 32 });
    const longest = await llm.generate({ tokens: Array(31).fill(1) }, GREEDY);
    assert.equal(longest.usage.completionTokens, 1);
    for (const length of [32, 33, 200]) {
      const { thrown, rejected } = await follow(llm.stream({ tokens: Array(length).fill(1) }));
      assert.ok(failsWith('ERR_PROMPT_TOO_LONG', '31')(thrown));
      assert.equal(rejected, thrown);
    }
  },
);

conformance(
  ['dummy weights'],
  "loadFormat 'dummy' gives other tokens than the engine's, the same ones at each load",
  async ({ llm, load }) => {
    const tokens = async (of: LLM) => tokensOf(await of.generate({ tokens: [1, 2, 3] }, { ...GREEDY, maxTokens: 12 }));
    const [first, again] = await Promise.all([1, 2].map(async () => tokens(await load({ loadFormat: 'dummy' }))));
    assert.deepEqual(again, first);
    assert.notDeepEqual(await tokens(llm), first);
  },
);

conformance([], 'maxTokens defaults to max_new_tokens of generation_config.json', async ({ load }) => {
  const llm = await load({}, { max_new_tokens: 7 });
  assert.equal((await llm.generate(PROMPT, GREEDY)).usage.completionTokens, 7);
  assert.equal((await llm.generate(PROMPT, { ...GREEDY, maxTokens: 9 })).usage.completionTokens, 9);
});

conformance([], 'with maxTokens 0 the prompt is computed, and the outputs are empty', async ({ llm }) => {
  const options = { ...GREEDY, maxTokens: 0, n: llm.capabilities.severalSequences ? 2 : 1, stop: 'e' };
  for (const ignoreEos of [true, false]) {
    const { chunks, result } = await readWhole(llm.stream(PROMPT, { ...options, ignoreEos }));
    assert.deepEqual(
      chunks.map(({ index, text, tokens, finishReason }) => [index, text, tokens.length, finishReason]),
      Array.from({ length: options.n }, (_, index) => [index, '', 0, 'length']),
    );
    assert.deepEqual([result.text, result.finishReason, result.stopReason], ['', 'length', undefined]);
    const { usage, timing } = result;
    assert.equal(usage.promptTokens, await llm.tokenizer.count(PROMPT));
    assert.equal(usage.completionTokens, 0);
    assert.equal(timing.timeToFirstTokenMs, timing.totalMs);
  }
});

conformance(['promptLogprobs'], 'with maxTokens 0 promptLogprobs are those of a longer request', async ({ llm }) => {
  const asked = { ...GREEDY, topPromptLogprobs: 2 };
  const { promptLogprobs, outputs } = await llm.generate(PROMPT, { ...asked, maxTokens: 0 });
  assert.deepEqual(promptLogprobs, (await llm.generate(PROMPT, { ...asked, maxTokens: 3 })).promptLogprobs);
  assert.equal(outputs[0]?.tokens.length, 0);
});

conformance([], 'requests above maxBatchSize wait and then run, each to its own end', async ({ llm, load }) => {
  const expected = tokensOf(await llm.generate(PROMPT, { ...GREEDY, maxTokens: 10 }));
  const narrow = await load({ maxBatchSize: 2 });
  assert.equal(narrow.info.maxBatchSize, 2);
  const results = await narrow.generate(Array(9).fill(PROMPT), { ...GREEDY, maxTokens: 10 });
  assert.deepEqual(results.map(tokensOf), Array(9).fill(expected));
});

conformance(
  [],
  'with maxQueueSize requests waiting one more is ERR_QUEUE_FULL, and the others are not harmed',
  async ({ load }) => {
    const llm = await load({ maxBatchSize: 1, maxQueueSize: 2 });
    const tokens = await llm.tokenizer.encode(PROMPT);
    for (;;) {
      const running = llm.stream(PROMPT, LONG);
      let ended = false;
      void running.result.then(() => {
        ended = true;
      });
      await started(running);
      const waiting = [1, 2].map(() => llm.generate({ tokens }, { ...GREEDY, maxTokens: 5 }));
      await until(() => {
        const { activeRequests, queuedRequests } = llm.stats();
        return ended || (activeRequests === 1 && queuedRequests === 2);
      });
      const { chunks, thrown, rejected } = await follow(llm.stream({ tokens }, { ...GREEDY, maxTokens: 5 }));
      running.abort();
      for (const each of waiting) assert.equal((await each).usage.completionTokens, 5);
      if ((await running.result).finishReason !== 'cancelled') continue; // on a busy machine it may end before the others are there
      assert.ok(failsWith('ERR_QUEUE_FULL', '2')(thrown));
      assert.deepEqual((thrown as LLMError).queue, { waiting: 2, limit: 2 });
      assert.equal(rejected, thrown);
      assert.equal(chunks.length, 0);
      break;
    }
    assert.equal((await llm.generate({ tokens }, { ...GREEDY, maxTokens: 5 })).usage.completionTokens, 5);
  },
);

conformance(
  ['chunks'],
  'while a long prompt is computed a running stream gets a token from every step',
  async ({ load }) => {
    const llm = await load({ maxBatchSize: 4, maxNumTokens: 64 });
    for (let maxTokens = 500; ; maxTokens *= 2) {
      const { steps } = llm.stats();
      const running = llm.stream(PROMPT, { ...GREEDY, ignoreEos: true, maxTokens });
      await started(running);
      // It takes 32 steps, and no other prompt's keys and values.
      await llm.generate(
        { tokens: Array.from({ length: 2000 }, (_, i) => 1 + ((i + maxTokens) % 200)) },
        { maxTokens: 1 },
      );
      const hasOutlasted = llm.stats().activeRequests === 1;
      await running.result;
      const taken = llm.stats().steps - steps;
      const STEPS_AHEAD = 3; // planned for a token that was the last
      if (hasOutlasted)
        return void assert.ok(taken <= maxTokens + STEPS_AHEAD, `${maxTokens} tokens in ${taken} steps`);
    }
  },
);

conformance([], 'a request that is aborted in the queue leaves its place to the next', async ({ load }) => {
  const llm = await load({ maxBatchSize: 1, maxQueueSize: 1 });
  const running = llm.stream(PROMPT, LONG);
  await started(running);
  const tokens = await llm.tokenizer.encode(PROMPT);
  const waiting = llm.stream({ tokens }, LONG);
  waiting.abort();
  assert.equal((await waiting.result).usage.completionTokens, 0);
  await until(() => llm.stats().queuedRequests === 0);
  const next = llm.generate({ tokens }, { ...GREEDY, maxTokens: 3 });
  running.abort();
  assert.equal((await next).usage.completionTokens, 3);
});

conformance(
  ['a model', 'batch invariance'],
  'a KV cache too small for all requests at once still gives each its own tokens',
  async ({ llm, load }) => {
    const prompts = Array.from({ length: 6 }, (_, i) => ({ tokens: Array.from({ length: 20 }, (_, j) => 1 + i + j) }));
    const options = { ...GREEDY, maxTokens: 60 };
    const alone: number[][] = [];
    for (const prompt of prompts) alone.push(tokensOf(await llm.generate(prompt, options)));
    const cramped = await load({ kvCache: { maxTokens: 256 } }); // of 480; an executor preempts some, or has them wait
    assert.deepEqual((await cramped.generate(prompts, options)).map(tokensOf), alone);
  },
);
