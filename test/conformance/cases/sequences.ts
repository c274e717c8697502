import assert from 'node:assert/strict';
import type { Chunk, Output, Result } from 'node-tensorrt-llm';
import { follow, GREEDY, LONG, PROMPT, readWhole, textOf, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const DRAWN = { ignoreEos: true, temperature: 2, seed: 11, maxTokens: 16 } as const;
/** A letter of the text that is not among its first two. */
const laterLetter = ({ text }: Output): string =>
  [...text].find((letter) => letter !== '\ufffd' && text.indexOf(letter) > 1) as string;
const tokensOfEach = ({ outputs }: Result): number[][] => outputs.map(({ tokens }) => [...tokens]);

conformance(
  ['severalSequences'],
  'n gives outputs 0 to n - 1, each with its own end, on one prompt',
  async ({ llm }) => {
    const result = await llm.generate(PROMPT, { ...DRAWN, n: 4 });
    assert.deepEqual(
      result.outputs.map(({ index, finishReason, tokens }) => [index, finishReason, tokens.length]),
      [0, 1, 2, 3].map((index) => [index, 'length', 16]),
    );
    assert.equal(result.text, result.outputs[0]?.text);
    const promptTokens = await llm.tokenizer.count(PROMPT);
    const { usage } = result;
    assert.deepEqual(
      [usage.promptTokens, usage.completionTokens, usage.totalTokens],
      [promptTokens, 64, promptTokens + 64],
    );
  },
);

conformance(
  ['severalSequences'],
  'the chunks of each output are its text and tokens, and end with its finishReason',
  async ({ llm }) => {
    const { chunks, result } = await readWhole(llm.stream(PROMPT, { ...DRAWN, n: 3 }));
    for (const { index, text, tokens, finishReason } of result.outputs) {
      const own = chunks.filter((chunk) => chunk.index === index);
      assert.equal(textOf(own), text);
      assert.deepEqual(
        own.flatMap((chunk) => [...chunk.tokens]),
        [...tokens],
      );
      assert.deepEqual(
        own.map((chunk) => chunk.finishReason),
        [...Array(own.length - 1).fill(undefined), finishReason],
      );
    }
    assert.equal(new Set(chunks.map(({ index }) => index)).size, 3);
  },
);

conformance(
  ['severalSequences', 'a model'],
  'greedy outputs of one request are equal, and what the request gives alone',
  async ({ llm }) => {
    const alone = tokensOf(await llm.generate(PROMPT, { ...GREEDY, maxTokens: 16 }));
    const together = await llm.generate(PROMPT, { ...GREEDY, maxTokens: 16, n: 3 });
    assert.deepEqual(tokensOfEach(together), [alone, alone, alone]);
  },
);

conformance(
  ['severalSequences', 'a model'],
  'drawn outputs differ, and a seed gives all of them again',
  async ({ llm }) => {
    const outputs = tokensOfEach(await llm.generate(PROMPT, { ...DRAWN, n: 4 }));
    assert.equal(new Set(outputs.map(String)).size, 4);
    assert.deepEqual(tokensOfEach(await llm.generate(PROMPT, { ...DRAWN, n: 4 })), outputs);
  },
);

conformance(
  ['severalSequences', 'a model', 'batch invariance'],
  'output i of a seed is the same for each n',
  async ({ llm }) => {
    const [four, two] = [
      await llm.generate(PROMPT, { ...DRAWN, n: 4 }),
      await llm.generate(PROMPT, { ...DRAWN, n: 2 }),
    ];
    assert.deepEqual(tokensOfEach(two), tokensOfEach(four).slice(0, 2));
    assert.deepEqual(tokensOf(await llm.generate(PROMPT, DRAWN)), tokensOfEach(four)[0]);
  },
);

conformance(
  ['severalSequences'],
  'a stop string ends the output it comes in, and the others go on',
  async ({ llm }) => {
    const whole = await llm.generate(PROMPT, { ...DRAWN, n: 3 });
    const stop = laterLetter(whole.outputs[1] as Output);
    const { outputs, usage } = await llm.generate(PROMPT, { ...DRAWN, n: 3, stop });
    for (const [i, output] of outputs.entries()) {
      const full = whole.outputs[i]?.text as string;
      const at = full.indexOf(stop);
      assert.deepEqual(
        [output.text, output.finishReason, output.stopReason],
        at < 0 ? [full, 'length', undefined] : [full.slice(0, at), 'stop', stop],
      );
    }
    assert.equal(
      usage.completionTokens,
      outputs.reduce((sum, { tokens }) => sum + tokens.length, 0),
    );
  },
);

conformance(['severalSequences'], 'abort() ends every output with "cancelled"', async ({ llm }) => {
  const { result } = await readWhole(llm.stream(PROMPT, { ...LONG, n: 3 }), () => 'leave');
  assert.deepEqual(
    result.outputs.map(({ finishReason }) => finishReason),
    ['cancelled', 'cancelled', 'cancelled'],
  );
});

conformance(
  ['severalSequences'],
  'an output that has ended keeps its end when the request is aborted',
  async ({ llm }) => {
    const whole = await llm.generate(PROMPT, { ...DRAWN, n: 3 });
    const stop = laterLetter(whole.outputs[1] as Output);
    let stopped: Chunk | undefined;
    const { result } = await readWhole(
      llm.stream(PROMPT, { ...DRAWN, maxTokens: LONG.maxTokens, n: 3, stop }),
      (chunk) => {
        if (chunk.finishReason === undefined) return undefined;
        stopped = chunk;
        return 'leave';
      },
    );
    const { finishReason, stopReason } = result.outputs[stopped?.index ?? -1] ?? {};
    assert.deepEqual([finishReason, stopReason], ['stop', stop]);
  },
);

conformance(['severalSequences'], 'timeoutMs ends every output with "timeout" in its last chunk', async ({ llm }) => {
  const { chunks, result } = await readWhole(llm.stream(PROMPT, { ...LONG, n: 2, timeoutMs: 25 }));
  assert.deepEqual(
    result.outputs.map(({ finishReason }) => finishReason),
    ['timeout', 'timeout'],
  );
  assert.deepEqual(
    chunks.filter(({ finishReason }) => finishReason === 'timeout').map(({ index }) => index),
    [0, 1],
  );
});

conformance(
  ['severalSequences', 'batch invariance'],
  'many requests of several outputs run at once, each with its own tokens',
  async ({ llm }) => {
    const prompts = Array.from({ length: 12 }, (_, i) => ({ tokens: [1 + i, 2, 3 + i] }));
    const options = { ...GREEDY, maxTokens: 10, n: 3 };
    const alone: number[][][] = [];
    for (const prompt of prompts) alone.push(tokensOfEach(await llm.generate(prompt, options)));
    assert.deepEqual((await llm.generate(prompts, options)).map(tokensOfEach), alone);
  },
);

conformance(
  ['severalSequences'],
  'more outputs than fit into a step are refused with ERR_INVALID_OPTION',
  async ({ load }) => {
    const llm = await load({ maxBatchSize: 2 });
    assert.equal((await llm.generate(PROMPT, { ...GREEDY, maxTokens: 2, n: 2 })).outputs.length, 2);
    const { thrown, rejected } = await follow(llm.stream(PROMPT, { ...GREEDY, n: 3 }));
    assert.equal((thrown as { code?: string }).code, 'ERR_INVALID_OPTION');
    assert.equal(rejected, thrown);
  },
);

conformance(
  ['severalSequences', 'logprobs', 'a model'],
  'bestOf gives the n likeliest of so many outputs, the likeliest first, and counts all',
  async ({ llm }) => {
    const all = await llm.generate(PROMPT, { ...DRAWN, n: 4, logprobs: true });
    const best = await llm.generate(PROMPT, { ...DRAWN, n: 2, bestOf: 4 });
    const likeliest = [...all.outputs].sort((a, b) => (b.cumulativeLogprob ?? 0) - (a.cumulativeLogprob ?? 0));
    assert.deepEqual(
      best.outputs.map(({ index, tokens, cumulativeLogprob }) => [index, [...tokens], cumulativeLogprob]),
      likeliest.slice(0, 2).map(({ tokens, cumulativeLogprob }, rank) => [rank, [...tokens], cumulativeLogprob]),
    );
    assert.equal(best.outputs[0]?.logprobs, undefined);
    assert.equal(best.usage.completionTokens, all.usage.completionTokens);
  },
);

conformance(
  ['severalSequences', 'logprobs'],
  'with bestOf above n nothing can be read before all outputs have ended',
  async ({ llm }) => {
    const generation = llm.stream(PROMPT, { ...DRAWN, bestOf: 3 });
    const { chunks, result } = await readWhole(generation);
    assert.deepEqual(
      chunks.map(({ index, text, finishReason }) => [index, text, finishReason]),
      [[0, result.text, 'length']],
    );
    assert.equal(result.outputs.length, 1);
  },
);
