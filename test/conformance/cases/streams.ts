import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type { Chunk } from 'node-tensorrt-llm';
import { follow, GREEDY, LONG, onlyOutput, PROMPT, readWhole, textOf, tokensOf, until } from '../requests.js';
import { conformance } from '../suite.js';

const OPTIONS = { ...GREEDY, maxTokens: 40 } as const;

const assertWhole = (chunks: readonly Chunk[], text: string, tokens: ArrayLike<number>): void => {
  assert.equal(textOf(chunks), text);
  assert.deepEqual(
    chunks.flatMap((chunk) => [...chunk.tokens]),
    Array.from(tokens),
  );
};

conformance([], 'console.log of a Generation shows its state and what it has so far', async ({ llm }) => {
  const generation = llm.stream(PROMPT, LONG);
  const shown: string[] = [inspect(generation)];
  let read = '';
  await follow(generation, ({ text }) => {
    read += text;
    shown.push(inspect(generation));
    return shown.length > 3 ? 'leave' : undefined;
  });
  assert.match(shown[0] ?? '', new RegExp(`^Generation \\{\\s+id: ${generation.id},\\s+state: 'running'`));
  assert.ok(shown.at(-1)?.includes(inspect(read).slice(1, -1)), `${shown.at(-1)} has not ${read}`);
  assert.match(inspect(generation), /state: 'cancelled'/);
  const failed = llm.stream('', {});
  await assert.rejects(failed.result);
  assert.match(inspect(failed), /state: 'failed',\s+error: LLMError: .*\n[\s\S]*code: 'ERR_EMPTY_PROMPT'/);
});

conformance(
  [],
  'the chunks are the text and the tokens of the result, and the text is what the tokens decode to',
  async ({ llm }) => {
    const { chunks, result } = await readWhole(llm.stream(PROMPT, OPTIONS));
    const { text, tokens } = onlyOutput(result);
    assertWhole(chunks, text, tokens);
    assert.equal(text, llm.tokenizer.decode(tokens));
    assert.ok(chunks.every(({ index }) => index === 0));
  },
);

conformance([], 'a result read without iterating is the same, and so is one read before the end', async ({ llm }) => {
  const { text } = await llm.generate(PROMPT, OPTIONS);
  const generation = llm.stream(PROMPT, OPTIONS);
  const early = generation.result;
  assert.equal(generation.result, early);
  const { chunks } = await follow(generation);
  assert.deepEqual([textOf(chunks), (await early).text], [text, text]);
});

conformance([], 'textStream gives the text, never an empty piece', async ({ llm }) => {
  const pieces: string[] = [];
  const generation = llm.stream(PROMPT, OPTIONS);
  for await (const piece of generation.textStream) pieces.push(piece);
  assert.equal(pieces.join(''), (await generation.result).text);
  assert.ok(pieces.every((piece) => piece !== ''));
});

conformance([], 'toReadableStream gives the chunks of the iterator', async ({ llm }) => {
  const generation = llm.stream(PROMPT, OPTIONS);
  const chunks: Chunk[] = [];
  for await (const chunk of generation.toReadableStream()) chunks.push(chunk);
  const { text, tokens } = onlyOutput(await generation.result);
  assertWhole(chunks, text, tokens);
  assert.equal(chunks.at(-1)?.finishReason, 'length');
});

conformance([], 'toReadableStream errors with what the iterator throws', async ({ llm }) => {
  const reason = new Error('enough');
  const controller = new AbortController();
  const reader = llm
    .stream(PROMPT, { ...OPTIONS, signal: controller.signal })
    .toReadableStream()
    .getReader();
  controller.abort(reason);
  await assert.rejects(reader.read(), (error) => error === reason);
});

conformance([], 'what a reader does not fetch is merged: read after the end it is one chunk', async ({ llm }) => {
  const generation = llm.stream(PROMPT, OPTIONS);
  const { text, outputs } = await generation.result;
  const { chunks } = await follow(generation);
  assert.equal(chunks.length, 1);
  assertWhole(chunks, text, outputs[0]?.tokens ?? []);
  assert.equal(chunks[0]?.finishReason, 'length');
});

conformance([], 'a slow reader holds no other request up, and loses nothing', async ({ llm }) => {
  const expected = await llm.generate(PROMPT, OPTIONS);
  let left = 63;
  const slow = llm.stream(PROMPT, OPTIONS);
  const fast = Array.from({ length: left }, async () => {
    const { result } = await readWhole(llm.stream(PROMPT, OPTIONS));
    left--;
    return result.text;
  });
  const { chunks, result } = await readWhole(slow, () => until(() => left === 0));
  assertWhole(chunks, expected.text, tokensOf(expected));
  assert.equal(result.text, expected.text);
  for (const text of await Promise.all(fast)) assert.equal(text, expected.text);
});

conformance(
  ['logitBias', 'a model'],
  'special tokens are no text, and are with skipSpecialTokens: false',
  async ({ llm }) => {
    const [endId] = llm.info.endIds as [number];
    const options = { ...GREEDY, maxTokens: 3, logitBias: { [endId]: 1000 } };
    const hidden = await llm.generate(PROMPT, options);
    assert.deepEqual([hidden.text, tokensOf(hidden)], ['', [endId, endId, endId]]);
    const shown = await llm.generate(PROMPT, { ...options, skipSpecialTokens: false });
    assert.equal(shown.text, llm.tokenizer.tokenText(endId).repeat(3));
    assert.notEqual(shown.text, '');
  },
);
