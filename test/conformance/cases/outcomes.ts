import assert from 'node:assert/strict';
import type { ErrorCode, GenerateOptions, Input, LLM } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { follow, GREEDY, LONG, onlyOutput, PROMPT, readWhole, started, textOf, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

// The ends a request comes to by itself, and its failures; those its caller brings about are in aborts.ts and timeouts.ts.

/** Follows a request to its end, and asserts what holds of each that is no error: both readers got the same. */
async function endOf(llm: LLM, input: Input, options: GenerateOptions) {
  const { chunks, result } = await readWhole(llm.stream(input, options));
  const output = onlyOutput(result);
  assert.equal(textOf(chunks), result.text);
  assert.equal(result.text, output.text);
  assert.equal(result.finishReason, output.finishReason);
  assert.equal(result.stopReason, output.stopReason);
  const reasons = chunks.map(({ finishReason }) => finishReason);
  assert.deepEqual(reasons, [...Array(chunks.length - 1).fill(undefined), result.finishReason]);
  return { result, tokens: [...output.tokens], stopReason: result.stopReason, finishReason: result.finishReason };
}

conformance([], 'maxTokens ends a request with "length" and exactly so many tokens', async ({ llm }) => {
  for (const maxTokens of [1, 2, 17]) {
    const { tokens, finishReason, stopReason } = await endOf(llm, PROMPT, { ...GREEDY, maxTokens });
    assert.deepEqual(
      { count: tokens.length, finishReason, stopReason },
      { count: maxTokens, finishReason: 'length', stopReason: undefined },
    );
  }
});

conformance(
  [],
  'an end token ends a request with "stop", is the stopReason and none of the tokens',
  async ({ llm, load }) => {
    const tokens = tokensOf(await llm.generate(PROMPT, { ...GREEDY, maxTokens: 20 }));
    const at = tokens.findIndex((token, i) => i > 3 && tokens.indexOf(token) === i);
    assert.ok(at > 0, `the model repeats itself: ${tokens}`);
    const endId = tokens[at] as number;
    const unused = [...Array(100).keys()].find((token) => !tokens.includes(token)) as number;
    const ending = await load({}, { eos_token_id: [unused, endId] });
    assert.deepEqual(ending.info.endIds, [unused, endId]);
    const end = await endOf(ending, PROMPT, { temperature: 0, maxTokens: 20 });
    assert.deepEqual(end.tokens, tokens.slice(0, at));
    assert.deepEqual([end.finishReason, end.stopReason], ['stop', endId]);
    assert.equal(end.result.usage.completionTokens, at);
  },
);

conformance([], 'an end token that comes first ends a request with no text and no tokens', async ({ llm, load }) => {
  const [first] = tokensOf(await llm.generate(PROMPT, { ...GREEDY, maxTokens: 1 }));
  const ending = await load({}, { eos_token_id: first });
  const { tokens, finishReason, result } = await endOf(ending, PROMPT, { temperature: 0 });
  assert.deepEqual([tokens.length, result.text, finishReason], [0, '', 'stop']);
});

conformance([], 'ignoreEos goes on past end tokens, which are tokens like others then', async ({ llm, load }) => {
  const tokens = tokensOf(await llm.generate(PROMPT, { ...GREEDY, maxTokens: 12 }));
  const ending = await load({}, { eos_token_id: tokens[3] });
  const end = await endOf(ending, PROMPT, { ...GREEDY, maxTokens: 12 });
  assert.deepEqual([end.tokens, end.finishReason], [tokens, 'length']);
});

type Refusal = readonly [input: unknown, options: unknown, code: ErrorCode];
const refusals: Readonly<Record<string, Refusal>> = {
  'a wrong option': [PROMPT, { temperature: -1 }, 'ERR_INVALID_OPTION'],
  'a wrong input': [{ tokens: [-1] }, {}, 'ERR_INVALID_INPUT'],
  'an empty prompt': ['', {}, 'ERR_EMPTY_PROMPT'],
};
for (const [what, [input, options, code]] of Object.entries(refusals)) {
  conformance(
    [],
    `${what} is thrown by the iterator and rejects the result, as one ${code} with its requestId`,
    async ({ llm }) => {
      const neighbour = llm.generate(PROMPT, { ...GREEDY, maxTokens: 8 });
      const generation = llm.stream(input as Input, options as GenerateOptions);
      const { chunks, thrown, rejected } = await follow(generation);
      assert.ok(failsWith(code)(thrown));
      assert.equal(rejected, thrown);
      assert.equal((thrown as { requestId?: number }).requestId, generation.id);
      assert.equal(chunks.length, 0);
      assert.equal((await neighbour).usage.completionTokens, 8);
    },
  );
}

conformance([], 'a request of a closed LLM throws ERR_CLOSED to both readers', async ({ load }) => {
  const llm = await load();
  await llm.close();
  const { chunks, thrown, rejected } = await follow(llm.stream(PROMPT));
  assert.ok(failsWith('ERR_CLOSED', 'LLM.load')(thrown));
  assert.equal(rejected, thrown);
  assert.equal(chunks.length, 0);
});

conformance(
  [],
  'close() throws ERR_CLOSED to both readers of what runs, with what it had as partial',
  async ({ load }) => {
    const llm = await load();
    const generation = llm.stream(PROMPT, LONG);
    const { chunks, thrown, rejected } = await follow(generation, () => llm.close());
    assert.ok(failsWith('ERR_CLOSED', 'drainMs')(thrown));
    assert.equal(rejected, thrown);
    const { partial, requestId } = thrown as { partial?: { text: string; finishReason: string }; requestId?: number };
    assert.equal(requestId, generation.id);
    assert.ok(partial?.text.startsWith(textOf(chunks)));
    assert.equal(partial?.finishReason, 'cancelled');
  },
);

conformance([], 'a failure that nobody reads is no unhandledRejection', async ({ llm }) => {
  const seen: unknown[] = [];
  const listener = (reason: unknown): void => void seen.push(reason);
  process.on('unhandledRejection', listener);
  llm.stream('');
  void llm.stream('').result;
  llm.stream(PROMPT, { signal: AbortSignal.abort() });
  void llm.stream(PROMPT, { signal: AbortSignal.abort() }).result;
  await llm.generate(PROMPT, { ...GREEDY, maxTokens: 2 });
  await new Promise((resolve) => setTimeout(resolve, 5));
  process.off('unhandledRejection', listener);
  assert.deepEqual(seen, []);
});

conformance([], 'a Generation has one consumer: a second one is refused with ERR_ALREADY_READ', async ({ llm }) => {
  const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 4 });
  for await (const _ of generation);
  const refused = failsWith('ERR_ALREADY_READ', 'iterated once');
  assert.throws(() => generation[Symbol.asyncIterator](), refused);
  assert.throws(() => generation.toReadableStream(), refused);
  await assert.rejects(async () => {
    for await (const _ of generation.textStream);
  }, refused);
  assert.equal((await generation.result).finishReason, 'length');
});

conformance(
  [],
  'next() before the last one settled is refused with ERR_READ_PENDING, and nothing is lost',
  async ({ llm }) => {
    const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 8 });
    const reader = generation[Symbol.asyncIterator]();
    const first = reader.next();
    await assert.rejects(reader.next(), failsWith('ERR_READ_PENDING'));
    let text = '';
    for (let step = await first; !step.done; step = await reader.next()) text += step.value.text;
    assert.equal(text, (await generation.result).text);
  },
);

conformance([], 'a Generation has no then(), and can be read long after its end', async ({ llm }) => {
  const start = async () => llm.stream(PROMPT, { ...GREEDY, maxTokens: 6 });
  const generation = await start();
  const { text } = await generation.result;
  const reader = await started(generation);
  assert.deepEqual(await reader.next(), { done: true, value: undefined });
  assert.equal(text.length > 0, true);
});
