import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readGenerateOptions } from '#lib/options.js';
import { failsWith } from '../tools/fails-with.js';

const NONE = {};
const SAMPLING = { doSample: true, temperature: 0.6, topK: 40, topP: 0.9, minP: undefined };

const sampling = (options: object, defaults: Parameters<typeof readGenerateOptions>[1]) => {
  const { temperature, topK, topP, minP } = readGenerateOptions(options, defaults);
  return { temperature, topK, topP, minP };
};
const unset = { topK: undefined, topP: undefined, minP: undefined };

test('without a generation_config.json a request is greedy until it asks to draw', () => {
  assert.deepEqual(sampling({}, NONE), { temperature: 0, ...unset });
  assert.deepEqual(sampling({ seed: 4 }, NONE), { temperature: 0, ...unset });
  assert.deepEqual(sampling({ topP: 0.5 }, NONE), { ...unset, temperature: 1, topP: 0.5 });
  assert.deepEqual(sampling({ temperature: 0.7 }, NONE), { temperature: 0.7, ...unset });
});

test('what generation_config.json sets holds where the request is silent', () => {
  assert.deepEqual(sampling({}, SAMPLING), { temperature: 0.6, topK: 40, topP: 0.9, minP: undefined });
  assert.deepEqual(sampling({ temperature: 0, topK: 0 }, SAMPLING), {
    temperature: 0,
    topK: 0,
    topP: 0.9,
    minP: undefined,
  });
  assert.deepEqual(sampling({}, { ...SAMPLING, temperature: undefined }).temperature, 1);
});

test('settings of a generation_config.json that does not say do_sample are not used, as in transformers', () => {
  assert.deepEqual(sampling({}, { ...SAMPLING, doSample: false }), { temperature: 0, ...unset });
});

test('stop may be one string or several, and topLogprobs brings logprobs', () => {
  assert.deepEqual(readGenerateOptions({ stop: 'a' }, NONE).stop, ['a']);
  const stop = ['a', 'b'];
  const read = readGenerateOptions({ stop, topLogprobs: 2 }, NONE);
  stop.push('c');
  assert.deepEqual(read.stop, ['a', 'b']);
  assert.equal(read.logprobs, true);
});

test('undefined is the same as left out', () => {
  const read = readGenerateOptions({ temperature: undefined, signal: undefined }, NONE);
  assert.deepEqual(read, readGenerateOptions(undefined, NONE));
});

test('asking for several outputs draws them, and bestOf is at least n', () => {
  assert.equal(readGenerateOptions({ n: 2 }, NONE).temperature, 1);
  assert.deepEqual(
    [{ n: 3 }, { bestOf: 4 }, { n: 2, bestOf: 5 }].map((options) => {
      const { n, bestOf } = readGenerateOptions(options, NONE);
      return [n, bestOf];
    }),
    [
      [3, 3],
      [1, 4],
      [2, 5],
    ],
  );
  assert.throws(
    () => readGenerateOptions({ n: 3, bestOf: 2 }, NONE),
    failsWith('ERR_INVALID_OPTION', /bestOf is 2.*3/),
  );
});

test('penalties and limits of generation_config.json hold without do_sample, and the request overrules them', () => {
  const defaults = { repetitionPenalty: 1.1, noRepeatNgram: 3, maxTokens: 20, minTokens: 2 };
  const read = (options: object) => {
    const { repetitionPenalty, noRepeatNgram, maxTokens, minTokens } = readGenerateOptions(options, defaults);
    return { repetitionPenalty, noRepeatNgram, maxTokens, minTokens };
  };
  assert.deepEqual(read({}), defaults);
  const given = { repetitionPenalty: 1, noRepeatNgram: 0, maxTokens: 5, minTokens: 4 };
  assert.deepEqual(read(given), given);
  assert.equal(read({ maxTokens: 1 }).minTokens, 1, "the model's minimum is no error of the request");
});

test('minTokens above maxTokens is refused', () => {
  assert.throws(
    () => readGenerateOptions({ minTokens: 3, maxTokens: 2 }, NONE),
    failsWith('ERR_INVALID_OPTION', /minTokens is 3.*2/),
  );
});

test('token runs may be single ids, and what is no run or no bias is refused by name', () => {
  assert.deepEqual(readGenerateOptions({ stopTokens: [7, [1, 2]] }, NONE).stopTokens, [[7], [1, 2]]);
  assert.deepEqual([...readGenerateOptions({ logitBias: { 5: -1 } }, NONE).logitBias], [[5, -1]]);
  for (const [name, value] of [
    ['stopTokens', [[]]],
    ['badTokens', [-1]],
    ['badTokens', 'word'],
    ['badWords', ['']],
    ['logitBias', { a: 1 }],
    ['logitBias', { 1: Number.NaN }],
    ['logitBias', [1]],
    ['repetitionPenalty', 0],
    ['n', 0],
  ] as const) {
    assert.throws(() => readGenerateOptions({ [name]: value }, NONE), failsWith('ERR_INVALID_OPTION', RegExp(name)));
  }
});
