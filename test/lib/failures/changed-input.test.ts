import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type GenerateOptions, type Input, LLM } from 'node-tensorrt-llm';
import { tinyEngine } from '../../tools/engines.js';

const GREEDY = { temperature: 0, ignoreEos: true, maxTokens: 30 };

// Each makes the same request anew, and spoils what it was made of.
const CASES: { what: string; make: () => { input: Input; options: GenerateOptions; spoil: () => void } }[] = [
  {
    what: 'an array of tokens',
    make: () => {
      const tokens = [10, 20, 30];
      return { input: { tokens }, options: GREEDY, spoil: () => tokens.fill(0) };
    },
  },
  {
    what: 'an Int32Array of tokens',
    make: () => {
      const tokens = Int32Array.of(10, 20, 30);
      return { input: { tokens }, options: GREEDY, spoil: () => tokens.fill(0) };
    },
  },
  {
    what: 'tokens whose buffer goes to another thread',
    make: () => {
      const tokens = Int32Array.of(10, 20, 30);
      return {
        input: { tokens },
        options: GREEDY,
        spoil: () => structuredClone(tokens, { transfer: [tokens.buffer] }),
      };
    },
  },
  {
    what: 'messages',
    make: () => {
      const messages = [{ role: 'user', content: 'hello' }];
      const spoil = (): void => {
        for (const message of messages) message.content = 'bye';
        messages.push({ role: 'user', content: 'more' });
      };
      return { input: { messages }, options: GREEDY, spoil };
    },
  },
  {
    what: 'the list of stop strings',
    make: () => {
      const stop = ['never in it'];
      return { input: 'Once', options: { ...GREEDY, stop }, spoil: () => stop.splice(0, 1, 'a', 'e', 'i', ' ') };
    },
  },
  {
    what: 'the options',
    make: () => {
      const options = { ...GREEDY };
      return { input: 'Once', options, spoil: () => Object.assign(options, { maxTokens: 1, temperature: 2 }) };
    },
  },
];

describe('the output is unchanged when the user changes, after the call,', () => {
  let llm: LLM;
  before(async () => {
    llm = await LLM.load(await tinyEngine());
  });
  after(() => llm.close());

  for (const { what, make } of CASES) {
    test(what, async () => {
      const untouched = make();
      const expected = await llm.generate(untouched.input, untouched.options);
      const { input, options, spoil } = make();
      const running = llm.generate(input, options);
      spoil();
      assert.deepEqual((await running).outputs, expected.outputs);
    });
  }
});
