import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type { ErrorCode, Input } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { follow, GREEDY, onlyOutput, PROMPT, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const SHORT = { ...GREEDY, maxTokens: 8 } as const;
const MESSAGES = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'How many r in strawberry?' },
];

conformance([], 'text and its tokens are one prompt, in whatever array the tokens come', async ({ llm }) => {
  const tokens = await llm.tokenizer.encode(PROMPT);
  const fromText = await llm.generate(PROMPT, SHORT);
  assert.equal(fromText.usage.promptTokens, tokens.length);
  const arrays = [
    tokens,
    [...tokens],
    Uint32Array.from(tokens),
    Float64Array.from(tokens),
    { ...tokens, length: tokens.length },
  ];
  for (const each of arrays) {
    const result = await llm.generate({ tokens: each }, SHORT);
    assert.deepEqual([tokensOf(result), result.text], [tokensOf(fromText), fromText.text]);
  }
});

conformance([], 'addSpecialTokens: false encodes a text without the special tokens around it', async ({ llm }) => {
  const tokens = await llm.tokenizer.encode(PROMPT, { addSpecialTokens: false });
  const { usage } = await llm.generate(PROMPT, { ...SHORT, addSpecialTokens: false });
  assert.equal(usage.promptTokens, tokens.length);
});

conformance(
  [],
  'messages are the text that the chat template gives, encoded without further special tokens',
  async ({ llm }) => {
    const rendered = llm.tokenizer.applyChatTemplate(MESSAGES);
    assert.ok(rendered.includes('strawberry'));
    const fromMessages = await llm.generate({ messages: MESSAGES }, SHORT);
    const fromText = await llm.generate(rendered, { ...SHORT, addSpecialTokens: false });
    assert.equal(fromMessages.usage.promptTokens, fromText.usage.promptTokens);
    assert.deepEqual(tokensOf(fromMessages), tokensOf(fromText));
  },
);

conformance([], 'tools and templateVars of messages go to the chat template', async ({ llm }) => {
  const tools = [{ type: 'function', function: { name: 'count', parameters: { type: 'object', properties: {} } } }];
  const templateVars = { add_generation_prompt: true, enable_thinking: false };
  const tokens = await llm.tokenizer.encodeChat(MESSAGES, { tools, templateVars });
  const { usage } = await llm.generate({ messages: MESSAGES, tools, templateVars }, SHORT);
  assert.equal(usage.promptTokens, tokens.length);
});

conformance([], 'the input may be changed as soon as the call returns', async ({ llm }) => {
  const tokens = await llm.tokenizer.encode(PROMPT);
  const messages = [{ role: 'user', content: 'one' }];
  const stop = ['\u0000 never'];
  const expected = [tokensOf(await llm.generate({ tokens }, SHORT)), tokensOf(await llm.generate({ messages }, SHORT))];
  const typed = Int32Array.from(tokens);
  const plain = [...tokens];
  const running = [
    llm.generate({ tokens: typed }, SHORT),
    llm.generate({ tokens: plain }, { ...SHORT, stop }),
    llm.generate({ messages }, SHORT),
  ];
  typed.fill(0);
  plain.length = 1;
  stop.length = 0;
  messages.push({ role: 'user', content: 'two' });
  (messages[0] as { content: string }).content = 'three';
  const [fromTyped, fromPlain, fromMessages] = (await Promise.all(running)).map(tokensOf);
  assert.deepEqual([fromTyped, fromPlain, fromMessages], [expected[0], expected[0], expected[1]]);
});

conformance(
  [],
  'an array of inputs gives an array of results in its order, and an empty one an empty one',
  async ({ llm }) => {
    const inputs: Input[] = ['a', { tokens: [97, 98] }, { messages: MESSAGES }, 'a longer prompt'];
    const options = { ...SHORT, maxTokens: 2 }; // later ones may differ in a batch, where it is not invariant
    const alone: number[][] = [];
    for (const input of inputs) alone.push(tokensOf(await llm.generate(input, options)));
    assert.deepEqual((await llm.generate(inputs, options)).map(tokensOf), alone);
    assert.deepEqual(await llm.generate([], options), []);
  },
);

conformance([], 'one bad input of several rejects them all, and the others are aborted', async ({ llm }) => {
  await assert.rejects(llm.generate(['good', '', 'good'], { ...GREEDY }), failsWith('ERR_EMPTY_PROMPT'));
});

conformance([], 'a prompt of one token runs', async ({ llm }) => {
  const result = await llm.generate({ tokens: [1] }, SHORT);
  assert.deepEqual([result.usage.promptTokens, onlyOutput(result).tokens.length], [1, 8]);
});

const bad: readonly [input: unknown, code: ErrorCode, words: RegExp][] = [
  [undefined, 'ERR_INVALID_INPUT', /undefined/],
  [null, 'ERR_INVALID_INPUT', /null/],
  [7, 'ERR_INVALID_INPUT', /input is 7;/],
  [{}, 'ERR_INVALID_INPUT', /without tokens or messages/],
  [{ tokens: 'abc' }, 'ERR_INVALID_INPUT', /tokens is "abc"; expected an array/],
  [{ tokens: 3 }, 'ERR_INVALID_INPUT', /tokens is 3; expected an array/],
  [{ tokens: ['1'] }, 'ERR_INVALID_INPUT', /tokens\[0\]/],
  [{ tokens: [1, 2.5] }, 'ERR_INVALID_INPUT', /tokens\[1\] is 2\.5/],
  [{ tokens: [1, Number.NaN] }, 'ERR_INVALID_INPUT', /tokens\[1\] is NaN/],
  [{ tokens: [1n] }, 'ERR_INVALID_INPUT', /tokens\[0\]/],
  [{ tokens: { length: 2, 0: 1 } }, 'ERR_INVALID_INPUT', /tokens\[1\] is undefined/],
  [{ tokens: [-1] }, 'ERR_INVALID_INPUT', /tokens\[0\] is -1/],
  [{ tokens: [2 ** 31 - 1] }, 'ERR_INVALID_INPUT', /2147483647/],
  [{ tokens: [2 ** 32 + 1] }, 'ERR_INVALID_INPUT', /4294967297/],
  [{ tokens: [] }, 'ERR_EMPTY_PROMPT', /prompt/],
  ['', 'ERR_EMPTY_PROMPT', /prompt/],
  [{ messages: 'hi' }, 'ERR_INVALID_INPUT', /messages/],
  [{ messages: [{ content: 'no role' }] }, 'ERR_INVALID_INPUT', /messages\[0\]\.role/],
  [{ messages: MESSAGES, templateVars: 3 }, 'ERR_INVALID_INPUT', /templateVars/],
  [{ messages: MESSAGES, tools: 3 }, 'ERR_INVALID_INPUT', /tools/],
];
conformance([], 'an input that is none is refused with its code, naming what is wrong', async ({ llm }) => {
  for (const [input, code, words] of bad) {
    const { thrown, rejected } = await follow(llm.stream(input as Input, SHORT));
    assert.ok(thrown, `${inspect(input)} was taken`);
    assert.ok(failsWith(code, words)(thrown));
    assert.equal(rejected, thrown);
  }
});

conformance([], 'a token at the end of the vocabulary is taken, and the one behind it refused', async ({ llm }) => {
  const last = llm.info.vocabSize - 1;
  assert.equal((await llm.generate({ tokens: [last] }, SHORT)).usage.promptTokens, 1);
  await assert.rejects(llm.generate({ tokens: [last + 1] }), failsWith('ERR_INVALID_INPUT', String(last + 1)));
});
