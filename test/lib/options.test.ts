import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readGenerateOptions } from '#lib/options.js';

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
