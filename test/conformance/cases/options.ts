import assert from 'node:assert/strict';
import type { Capabilities, GenerateOptions } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { follow, GREEDY, PROMPT } from '../requests.js';
import { conformance } from '../suite.js';

type Values = Readonly<Record<keyof GenerateOptions, readonly unknown[]>>;

const NO_COUNTS = [-1, 1.5, Number.NaN, 2 ** 31, '3', null];
const NO_NUMBERS = [Number.NaN, Number.POSITIVE_INFINITY, '1', null];
const NO_BOOLEANS = [0, 'false', null];
const NO_TEXTS = ['', [''], ['a', 3], 3, null];
const NO_RUNS = [3, 'a', [[]], [-1], [1.5], ['a'], null];

const WRONG: Values = {
  maxTokens: [0, ...NO_COUNTS],
  minTokens: NO_COUNTS,
  temperature: [-0.1, ...NO_NUMBERS],
  topK: NO_COUNTS,
  topP: [0, 1.1, -1, ...NO_NUMBERS],
  minP: [-0.1, 1.1, ...NO_NUMBERS],
  seed: [-1, 1.5, 2 ** 53, '1', null],
  repetitionPenalty: [0, -1, ...NO_NUMBERS],
  presencePenalty: NO_NUMBERS,
  frequencyPenalty: NO_NUMBERS,
  noRepeatNgram: NO_COUNTS,
  logitBias: [[1], { a: 1 }, { '-1': 1 }, { 1.5: 1 }, { 1: Number.NaN }, { 1: '2' }, 3, null],
  stop: NO_TEXTS,
  stopTokens: NO_RUNS,
  badWords: NO_TEXTS,
  badTokens: NO_RUNS,
  ignoreEos: NO_BOOLEANS,
  n: [0, ...NO_COUNTS],
  bestOf: [0, ...NO_COUNTS],
  logprobs: NO_BOOLEANS,
  topLogprobs: [21, ...NO_COUNTS],
  promptLogprobs: NO_BOOLEANS,
  topPromptLogprobs: [21, ...NO_COUNTS],
  returnContextLogits: NO_BOOLEANS,
  returnGenerationLogits: NO_BOOLEANS,
  addSpecialTokens: NO_BOOLEANS,
  skipSpecialTokens: NO_BOOLEANS,
  timeoutMs: [0, ...NO_COUNTS],
  queueTimeoutMs: [0, ...NO_COUNTS],
  signal: [{}, new AbortController(), null],
};

for (const [option, values] of Object.entries(WRONG)) {
  conformance([], `a wrong ${option} is refused with ERR_INVALID_OPTION that names it`, async ({ llm }) => {
    for (const value of values) {
      const { thrown, rejected } = await follow(llm.stream(PROMPT, { [option]: value }));
      assert.ok(failsWith('ERR_INVALID_OPTION', `${option} is `)(thrown));
      assert.equal(rejected, thrown);
    }
  });
}

conformance([], 'options that contradict each other are refused with ERR_INVALID_OPTION', async ({ llm }) => {
  const refused = (options: GenerateOptions, ...names: string[]) =>
    assert.rejects(llm.generate(PROMPT, options), failsWith('ERR_INVALID_OPTION', ...names));
  await refused({ n: 3, bestOf: 2 }, 'bestOf', 'n,');
  await refused({ minTokens: 5, maxTokens: 4 }, 'minTokens', 'maxTokens');
});

conformance(
  [],
  'an option that there is none of is refused, and a misspelled one says which was meant',
  async ({ llm }) => {
    const options = (given: unknown) => llm.generate(PROMPT, given as GenerateOptions);
    await assert.rejects(options({ max_tokens: 3 }), failsWith('ERR_INVALID_OPTION', 'did you mean maxTokens'));
    await assert.rejects(options({ beams: 3 }), failsWith('ERR_INVALID_OPTION', 'no option "beams"'));
    for (const none of [3, 'x', [], () => 1]) await assert.rejects(options(none), failsWith('ERR_INVALID_OPTION'));
  },
);

// What each option asks for beyond plain sampling, with the capability it needs.
const ASKS: readonly [option: keyof GenerateOptions, value: unknown, needs: keyof Capabilities][] = [
  ['minP', 0.5, 'minP'],
  ['minTokens', 2, 'minTokens'],
  ['repetitionPenalty', 1.2, 'penalties'],
  ['presencePenalty', 0.5, 'penalties'],
  ['frequencyPenalty', -0.5, 'penalties'],
  ['noRepeatNgram', 3, 'noRepeatNgram'],
  ['logitBias', { 1: 2 }, 'logitBias'],
  ['stopTokens', [1], 'stopTokens'],
  ['badWords', 'word', 'badTokens'],
  ['badTokens', [[1, 2]], 'badTokens'],
  ['n', 2, 'severalSequences'],
  ['logprobs', true, 'logprobs'],
  ['topLogprobs', 2, 'topLogprobs'],
  ['promptLogprobs', true, 'promptLogprobs'],
  ['topPromptLogprobs', 2, 'promptLogprobs'],
  ['returnContextLogits', true, 'contextLogits'],
  ['returnGenerationLogits', true, 'generationLogits'],
];
for (const [option, value, needs] of ASKS) {
  conformance(
    [],
    `${option} is taken where llm.capabilities.${needs} is true, and else refused by both names`,
    async ({ llm }) => {
      const asking = llm.generate(PROMPT, { maxTokens: 4, [option]: value });
      if (llm.capabilities[needs]) assert.ok((await asking).usage.completionTokens <= 8);
      else
        await assert.rejects(
          asking,
          failsWith('ERR_UNSUPPORTED', new RegExp(`^${option}\\b`), needs, llm.info.executor),
        );
    },
  );
}

/** Each option set to what it is when left out. */
const NEUTRAL: Required<Omit<GenerateOptions, 'maxTokens' | 'timeoutMs' | 'queueTimeoutMs' | 'signal'>> = {
  ...GREEDY,
  minTokens: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  noRepeatNgram: 0,
  logitBias: {},
  stop: [],
  stopTokens: [],
  badWords: [],
  badTokens: [],
  n: 1,
  bestOf: 1,
  logprobs: false,
  topLogprobs: 0,
  promptLogprobs: false,
  topPromptLogprobs: 0,
  returnContextLogits: false,
  returnGenerationLogits: false,
  addSpecialTokens: true,
  skipSpecialTokens: true,
};
conformance([], 'every option may be given its neutral value or undefined, which asks for nothing', async ({ llm }) => {
  const expected = await llm.generate(PROMPT, { ...GREEDY, maxTokens: 12 });
  const names = Object.keys(WRONG).filter((name) => !['temperature', 'ignoreEos', 'maxTokens'].includes(name));
  const unset = Object.fromEntries(names.map((name) => [name, undefined]));
  for (const options of [NEUTRAL, { ...GREEDY, ...unset }]) {
    const { outputs, text } = await llm.generate(PROMPT, { ...options, maxTokens: 12 });
    assert.deepEqual({ outputs, text }, { outputs: expected.outputs, text: expected.text });
  }
});
