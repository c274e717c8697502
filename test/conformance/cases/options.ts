import assert from 'node:assert/strict';
import type { Capabilities, GenerateOptions } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { follow, GREEDY, PROMPT } from '../requests.js';
import { conformance } from '../suite.js';

type Values = Readonly<Record<keyof GenerateOptions, readonly unknown[]>>;

const NO_COUNTS = [-1, 1.5, Number.NaN, 2 ** 31, '3'];
const NO_NUMBERS = [Number.NaN, Number.POSITIVE_INFINITY, '1'];
const NO_BOOLEANS = [0, 'false'];
const NO_TEXTS = ['', [''], ['a', 3], 3];
const NO_OBJECTS = [3, 'a', [], () => 1];
const NO_LISTS = [3, 'a', [], {}];
const NO_RUNS = [3, 'a', [[]], [-1], [1.5], ['a']];

const WRONG: Values = {
  maxTokens: NO_COUNTS,
  minTokens: NO_COUNTS,
  temperature: [-0.1, ...NO_NUMBERS],
  topK: [-2, 1.5, Number.NaN, 2 ** 31, '3'],
  topP: [0, 1.1, -1, ...NO_NUMBERS],
  topPDecay: [0, 1.1, -1, ...NO_NUMBERS],
  topPMin: [-0.1, 1.1, ...NO_NUMBERS],
  topPResetToken: NO_COUNTS,
  minP: [-0.1, 1.1, ...NO_NUMBERS],
  seed: [-1, 1.5, 2 ** 53, '1'],
  repetitionPenalty: [0, -1, ...NO_NUMBERS],
  presencePenalty: NO_NUMBERS,
  frequencyPenalty: NO_NUMBERS,
  noRepeatNgramSize: NO_COUNTS,
  logitBias: [[1], 3, 'a'],
  stop: NO_TEXTS,
  stopTokens: NO_RUNS,
  badWords: NO_TEXTS,
  badTokens: NO_RUNS,
  ignoreEos: NO_BOOLEANS,
  n: [0, ...NO_COUNTS],
  bestOf: [0, ...NO_COUNTS],
  beamWidth: [0, 1025, ...NO_COUNTS],
  beamWidths: NO_LISTS,
  beamDiversityRate: [-0.1, ...NO_NUMBERS],
  lengthPenalty: [-0.1, ...NO_NUMBERS],
  earlyStopping: [0, 'yes'],
  logprobs: NO_BOOLEANS,
  topLogprobs: [21, ...NO_COUNTS],
  promptLogprobs: NO_BOOLEANS,
  promptLogprobsStart: NO_COUNTS,
  topPromptLogprobs: [21, ...NO_COUNTS],
  returnContextLogits: NO_BOOLEANS,
  returnGenerationLogits: NO_BOOLEANS,
  maxLogitsBytes: [-1, 1.5, 2 ** 53, '1'],
  additionalOutputs: NO_LISTS,
  addSpecialTokens: NO_BOOLEANS,
  skipSpecialTokens: NO_BOOLEANS,
  responseTemplate: [true, 3, 'json', [], () => 1],
  guided: NO_OBJECTS,
  lora: NO_OBJECTS,
  priority: [-0.1, 1.1, ...NO_NUMBERS],
  cacheSalt: ['', 3],
  kvRetention: NO_OBJECTS,
  lookahead: NO_OBJECTS,
  eagle: NO_OBJECTS,
  draft: NO_OBJECTS,
  promptLookup: NO_BOOLEANS,
  draftModel: NO_BOOLEANS,
  timeoutMs: [0, ...NO_COUNTS],
  queueTimeoutMs: [0, ...NO_COUNTS],
  signal: [{}, new AbortController()],
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

conformance([], 'an option that is null counts as left out, whichever it is', async ({ llm }) => {
  const options = Object.fromEntries(Object.keys(WRONG).map((name) => [name, null]));
  const { thrown } = await follow(llm.stream(PROMPT, options), () => 'leave');
  assert.equal(thrown, undefined);
});

conformance([], 'options that contradict each other are refused with ERR_INVALID_OPTION', async ({ llm }) => {
  const refused = (options: GenerateOptions, ...names: string[]) =>
    assert.rejects(llm.generate(PROMPT, options), failsWith('ERR_INVALID_OPTION', ...names));
  await refused({ n: 3, bestOf: 2 }, 'bestOf', 'n,');
  await refused({ minTokens: 5, maxTokens: 4 }, 'minTokens', 'maxTokens');
  await refused({ beamWidth: 2, n: 3 }, 'n is 3', 'beamWidth');
  await refused({ beamWidth: 2, bestOf: 2 }, 'bestOf', 'beamWidth');
  await refused({ lengthPenalty: 1 }, 'lengthPenalty', 'beamWidth');
});

conformance(
  [],
  'an option that there is none of is refused, and a misspelled one says which was meant',
  async ({ llm }) => {
    const options = (given: unknown) => llm.generate(PROMPT, given as GenerateOptions);
    await assert.rejects(options({ max_tokens: 3 }), failsWith('ERR_INVALID_OPTION', 'Did you mean maxTokens'));
    await assert.rejects(options({ beams: 3 }), failsWith('ERR_INVALID_OPTION', 'Unknown option "beams"'));
    for (const none of [3, 'x', [], () => 1]) await assert.rejects(options(none), failsWith('ERR_INVALID_OPTION'));
  },
);

// What each option asks for beyond plain sampling, with the capability it needs.
const ASKS: readonly [option: keyof GenerateOptions, value: unknown, needs: keyof Capabilities][] = [
  ['minP', 0.5, 'minP'],
  ['minTokens', 2, 'minTokens'],
  ['repetitionPenalty', 1.2, 'penalties'],
  ['presencePenalty', 0.5, 'outputPenalties'],
  ['frequencyPenalty', -0.5, 'outputPenalties'],
  ['noRepeatNgramSize', 3, 'noRepeatNgramSize'],
  ['logitBias', { 1: 2 }, 'logitBias'],
  ['stopTokens', [1], 'stopTokens'],
  ['badWords', 'word', 'badTokens'],
  ['badTokens', [[1, 2]], 'badTokens'],
  ['n', 2, 'severalSequences'],
  ['logprobs', true, 'logprobs'],
  ['topLogprobs', 2, 'topLogprobs'],
  ['promptLogprobs', true, 'promptLogprobs'],
  ['topPromptLogprobs', 2, 'promptLogprobs'],
  ['promptLogprobsStart', 2, 'promptLogprobs'],
  ['returnContextLogits', true, 'contextLogits'],
  ['returnGenerationLogits', true, 'generationLogits'],
  ['beamWidth', 2, 'beamSearch'],
  ['priority', 0.75, 'priority'],
  ['promptLookup', true, 'promptLookup'],
];
for (const [option, value, needs] of ASKS) {
  conformance(
    [],
    `${option} is taken where llm.capabilities.${needs} is true, and else refused by both names`,
    async ({ llm }) => {
      const asking = llm.generate(PROMPT, { ignoreEos: true, maxTokens: 4, [option]: value });
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
  topPDecay: 1,
  topPMin: undefined,
  topPResetToken: undefined,
  minP: 0,
  seed: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  noRepeatNgramSize: 0,
  logitBias: {},
  stop: [],
  stopTokens: [],
  badWords: [],
  badTokens: [],
  n: 1,
  bestOf: 1,
  beamWidth: 1,
  beamWidths: undefined,
  beamDiversityRate: 0,
  lengthPenalty: 0,
  earlyStopping: true,
  logprobs: false,
  topLogprobs: 0,
  promptLogprobs: false,
  promptLogprobsStart: undefined,
  topPromptLogprobs: 0,
  returnContextLogits: false,
  returnGenerationLogits: false,
  maxLogitsBytes: 0,
  additionalOutputs: undefined,
  addSpecialTokens: true,
  skipSpecialTokens: true,
  responseTemplate: false,
  guided: undefined,
  lora: undefined,
  priority: 0.5,
  cacheSalt: undefined,
  kvRetention: {},
  lookahead: undefined,
  eagle: {},
  draft: undefined,
  promptLookup: false,
  draftModel: false,
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
