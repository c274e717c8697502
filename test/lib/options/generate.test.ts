import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DataType, GuidedOptions, Tensor } from 'node-tensorrt-llm';
import { show } from '#lib/base/checks.js';
import { readGenerateOptions } from '#lib/options/generate.js';
import { readLoadOptions } from '#lib/options/load.js';
import { failsWith } from '../../tools/fails-with.js';

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

test('null is the same as left out, for all options, for one, and inside of one', () => {
  const none = readGenerateOptions(undefined, NONE);
  for (const options of [null, { temperature: null, signal: null }, { guided: null }, { eagle: { greedy: null } }]) {
    assert.deepEqual(readGenerateOptions(options, NONE), none);
  }
  assert.deepEqual({ ...readLoadOptions(null) }, {});
  assert.deepEqual({ ...readLoadOptions({ threads: null, kvCache: { maxTokens: null } }) }, {});
  assert.throws(() => readGenerateOptions({ lora: { id: null } }, NONE), failsWith('ERR_INVALID_OPTION', /^lora\.id/));
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
  const defaults = { repetitionPenalty: 1.1, noRepeatNgramSize: 3, maxTokens: 20, minTokens: 2 };
  const read = (options: object) => {
    const { repetitionPenalty, noRepeatNgramSize, maxTokens, minTokens } = readGenerateOptions(options, defaults);
    return { repetitionPenalty, noRepeatNgramSize, maxTokens, minTokens };
  };
  assert.deepEqual(read({}), defaults);
  const given = { repetitionPenalty: 1, noRepeatNgramSize: 0, maxTokens: 5, minTokens: 4 };
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
  assert.deepEqual(readGenerateOptions({ logitBias: { 5: -1 } }, NONE).logitBias, {
    tokens: Int32Array.of(5),
    values: Float32Array.of(-1),
  });
  for (const [name, value] of [
    ['stopTokens', [[]]],
    ['badTokens', [-1]],
    ['badTokens', 'word'],
    ['badWords', ['']],
    ['logitBias', [1]],
    ['repetitionPenalty', 0],
    ['n', 0],
  ] as const) {
    assert.throws(() => readGenerateOptions({ [name]: value }, NONE), failsWith('ERR_INVALID_OPTION', RegExp(name)));
  }
});

test('logitBias may be a Map, and its error names the entry that is wrong', () => {
  const { logitBias } = readGenerateOptions(
    {
      logitBias: new Map([
        [5, Number.NEGATIVE_INFINITY],
        [6, 2],
      ]),
    },
    NONE,
  );
  assert.deepEqual(logitBias?.tokens, Int32Array.of(5, 6));
  const [lowest = 0, other] = logitBias?.values ?? [];
  assert.ok(Number.isFinite(lowest) && lowest < -1e38 && other === 2);
  for (const [logitBias, words] of [
    [{ a: 1 }, /^logitBias has the key "a"; expected a token id/],
    [{ '-1': 1 }, /^logitBias has the key "-1"; expected a token id/],
    [{ 1.5: 1 }, /^logitBias has the key "1\.5"; expected a token id/],
    [new Map([[-1, 1]]), /^logitBias has the key -1; expected a token id/],
    [{ 1: 1, 7: Number.NaN }, /^logitBias\[7\] is NaN; expected a number, or -Infinity/],
    [{ 7: Number.POSITIVE_INFINITY }, /^logitBias\[7\] is Infinity/],
    [new Map([[7, '2']]), /^logitBias\[7\] is "2"/],
  ] as const) {
    assert.throws(() => readGenerateOptions({ logitBias }, NONE), failsWith('ERR_INVALID_OPTION', words));
    assert.throws(() => readGenerateOptions({ logitBias }, NONE), { option: 'logitBias' });
  }
});

test('topK of -1 is 0: all tokens', () => {
  assert.equal(readGenerateOptions({ topK: -1 }, NONE).topK, 0);
  assert.throws(() => readGenerateOptions({ topK: -2 }, NONE), failsWith('ERR_INVALID_OPTION', /^topK is -2/));
});

test('a wrong value in a group is refused by its whole name, with what it is and what it must be', () => {
  const range = { start: 2, priority: 3 };
  const data = new Float32Array(6);
  const cases: readonly [options: object, words: RegExp][] = [
    [
      { kvRetention: { ranges: [range, { ...range, start: -1 }] } },
      /^kvRetention\.ranges\[1\]\.start is -1; expected an integer/,
    ],
    [
      { kvRetention: { ranges: [{ start: 2 }] } },
      /^kvRetention\.ranges\[0\]\.priority is missing; expected an integer from 0 to 100/,
    ],
    [
      { kvRetention: { ranges: [{ ...range, end: 2 }] } },
      /^kvRetention\.ranges\[0\]\.end is 2; expected more than its start, 2/,
    ],
    [
      {
        kvRetention: {
          ranges: [
            { start: 4, priority: 1 },
            { start: 0, end: 5, priority: 2 },
          ],
        },
      },
      /^kvRetention\.ranges has two ranges with token 4; expected ranges that do not overlap/,
    ],
    [{ kvRetention: { transferMode: 'disk' } }, /^kvRetention\.transferMode is "disk"; expected one of 'dram'/],
    [{ kvRetention: { transfer_mode: 'gds' } }, /"transfer_mode" of kvRetention\. Did you mean transferMode/],
    [{ lora: {} }, /^lora\.id is missing; expected an integer/],
    [{ lora: { id: 1, weights: { data, shape: [2, 2] } } }, /^lora\.weights\.data has 6 elements; expected 4.* 2 x 2/],
    [{ lora: { id: 1, weights: { data, shape: [6] } } }, /^lora\.config is missing; expected it with lora\.weights/],
    [
      { lora: { id: 1, weights: { data, shape: [6], dataType: 'int8' } } },
      /dataType is 'int8'; expected 'float32' for a Float32Array/,
    ],
    [{ lora: { id: 1, weights: { data: [1], shape: [1] } } }, /^lora\.weights\.data is \[1\]; expected a Float32Array/],
    [{ lookahead: { window: 4, ngram: 3 } }, /^lookahead\.verificationSet is missing/],
    [{ eagle: { choices: [[1], []] } }, /^eagle\.choices\[1\] is \[\]; expected a non-empty array of integers/],
    [{ draft: { tokens: [1, 1.5] } }, /^draft\.tokens\[1\] is 1\.5; expected an integer/],
    [{ draft: { tokens: [] } }, /^draft\.tokens is \[\]; expected a non-empty array of integers/],
    [
      { guided: {} },
      /^guided has nothing set; expected exactly one of json, jsonSchema, regex, grammar, structuralTag/,
    ],
    [{ guided: { json: true, regex: 'a' } }, /^guided has json and regex; expected exactly one/],
    [{ guided: { json: false } }, /^guided\.json is false; expected true/],
    [{ beamWidth: 2, beamWidths: [0] }, /^beamWidths\[0\] is 0; expected an integer from 1/],
    [{ additionalOutputs: ['a', ''] }, /^additionalOutputs\[1\] is ""; expected a non-empty string/],
  ];
  for (const [options, words] of cases) {
    assert.throws(() => readGenerateOptions(options, NONE), failsWith('ERR_INVALID_OPTION', words));
  }
});

test('a wrong option of a load is refused by its whole name', () => {
  const cases: readonly [options: object, words: RegExp][] = [
    [{ kvCache: { maxTokens: 0 } }, /^kvCache\.maxTokens is 0; expected an integer from 1/],
    [{ kvCache: { freeMemoryFraction: 0 } }, /^kvCache\.freeMemoryFraction is 0; expected a number above 0/],
    [
      { scheduler: { batchSizeTable: [[1, 2, 3]] } },
      /^scheduler\.batchSizeTable\[0\] is .*; expected a pair of integers/,
    ],
    [
      { scheduler: { capacityPolicy: 'fair' } },
      /^scheduler\.capacityPolicy is "fair"; expected one of 'max-utilization'/,
    ],
    [{ parallel: { deviceIds: ['0'] } }, /^parallel\.deviceIds\[0\] is "0"; expected an integer from 0/],
    [{ decoding: { lookahead: { window: 1 } } }, /^decoding\.lookahead\.ngram is missing/],
    [{ guidedDecoding: 'outlines' }, /^guidedDecoding is "outlines"; expected one of 'xgrammar', 'llguidance'/],
    [{ additionalOutputs: [{ context: true }] }, /^additionalOutputs\[0\]\.name is missing/],
    [{ perf: 3 }, /^perf is 3; expected an object with multiBlockMode/],
    [{ kvCacheTokens: 64 }, /Unknown option "kvCacheTokens" of LLM\.load\(\); expected one of .*kvCache,/],
  ];
  for (const [options, words] of cases) {
    assert.throws(() => readLoadOptions(options), failsWith('ERR_INVALID_OPTION', words));
  }
});

test('a group with nothing in it is the same as none', () => {
  assert.deepEqual({ ...readLoadOptions({ perf: {}, kvCache: { maxTokens: undefined }, scheduler: {} }) }, {});
  assert.equal(readGenerateOptions({ kvRetention: {}, eagle: {} }, NONE).extras.kvRetention, undefined);
});

test('what the caller changes after the call is not changed here', () => {
  const data = Float32Array.of(1, 2);
  const shape = [2];
  const tokens = [1, 2];
  const { lora, draft } = readGenerateOptions(
    { lora: { id: 1, weights: { data, shape }, config: { data, shape } }, draft: { tokens } },
    NONE,
  ).extras;
  data.fill(9);
  shape[0] = 9;
  tokens[0] = 9;
  assert.deepEqual(lora?.weights, { data: Float32Array.of(1, 2), shape: [2], dataType: 0 });
  assert.deepEqual(draft?.tokens, Int32Array.of(1, 2));
});

test('a tensor is of what its array holds, where dataType says no more', () => {
  const typeOf = (data: Tensor['data'], dataType?: DataType) => {
    const tensor = { data, shape: [1], dataType };
    return readGenerateOptions({ lora: { id: 1, weights: tensor, config: tensor } }, NONE).extras.lora?.weights
      ?.dataType;
  };
  const kinds = [Float32Array, Uint16Array, BigInt64Array, Int32Array, Int8Array, Uint8Array];
  assert.deepEqual(
    kinds.map((kind) => typeOf(new kind(1))),
    [0, 1, 4, 5, 6, 7],
  );
  const named: readonly [Tensor['data'], DataType][] = [
    [new Uint16Array(1), 'bfloat16'],
    [new Uint8Array(1), 'float8_e4m3'],
    [new Uint8Array(1), 'bool'],
  ];
  assert.deepEqual(
    named.map(([data, type]) => typeOf(data, type)),
    [2, 3, 8],
  );
});

test('each way to guide an output is read as its kind and its text', () => {
  const guides: readonly GuidedOptions[] = [
    { json: true },
    { jsonSchema: '{"type":"object"}' },
    { regex: 'a+' },
    { grammar: 'root ::= "a"' },
    { structuralTag: { type: 'structural_tag' } },
  ];
  assert.deepEqual(
    guides.map((guided) => readGenerateOptions({ guided }, NONE).extras.guided),
    [
      { kind: 0, guide: undefined },
      { kind: 1, guide: '{"type":"object"}' },
      { kind: 2, guide: 'a+' },
      { kind: 3, guide: 'root ::= "a"' },
      { kind: 4, guide: '{"type":"structural_tag"}' },
    ],
  );
});

test('a list longer than its maximum is refused before it is copied', () => {
  const endless = new Array(4_294_967_295);
  for (const [options, words] of [
    [{ cacheSalt: 'x'.repeat(65_537) }, /^cacheSalt has 65537 characters; expected at most 65536/],
    [{ guided: { regex: 'x'.repeat(1_048_577) } }, /^guided\.regex has 1048577 characters/],
    [{ guided: { jsonSchema: { a: 'x'.repeat(1_048_577) } } }, /^guided\.jsonSchema has \d+ characters/],
    [{ stop: endless }, /^stop has 4294967295 items; expected at most 4096/],
    [{ badWords: ['x'.repeat(300_000)] }, /^badWords has more than 262144 characters/],
    [{ stopTokens: endless }, /^stopTokens has 4294967295 items; expected at most 65536/],
    [{ badTokens: [[1], endless] }, /^badTokens has more than 65536 tokens/],
    [{ additionalOutputs: endless }, /^additionalOutputs has 4294967295 items; expected at most 1024/],
    [{ beamWidths: endless }, /^beamWidths has 4294967295 items; expected at most 65536/],
    [{ draft: { tokens: endless } }, /^draft\.tokens has 4294967295 items; expected at most 65536/],
    [{ eagle: { choices: endless } }, /^eagle\.choices has 4294967295 items; expected at most 1024/],
    [{ eagle: { choices: [endless] } }, /^eagle\.choices\[0\] has 4294967295 items; expected at most 64/],
    [{ kvRetention: { ranges: endless } }, /^kvRetention\.ranges has 4294967295 items; expected at most 1024/],
    [{ logitBias: Object.fromEntries(Array.from({ length: 65_537 }, (_, i) => [i, 1])) }, /^logitBias has 65537 items/],
  ] as const) {
    assert.throws(() => readGenerateOptions(options, NONE), failsWith('ERR_INVALID_OPTION', words));
  }
});

test('holes, and what Object.prototype has, are no items and no options', () => {
  const hole = new Array(1);
  Object.assign(Object.prototype, { 0: 5, maxTokens: 3, json: true });
  try {
    for (const options of [
      { draft: { tokens: hole } },
      { beamWidth: 2, beamWidths: hole },
      { kvRetention: { ranges: hole } },
      { lora: { id: 1, config: { data: new Int32Array(5), shape: hole } } },
    ]) {
      assert.throws(() => readGenerateOptions(options, NONE), failsWith('ERR_INVALID_OPTION', /\[0\]/));
    }
    for (const options of [{ stopTokens: hole }, { badTokens: [hole] }, { stop: hole }]) {
      assert.throws(() => readGenerateOptions(options, NONE), failsWith('ERR_INVALID_OPTION', / is \[/));
    }
    for (const none of [{}, undefined]) {
      assert.equal(readGenerateOptions(none, Object.create(null)).maxTokens, undefined);
    }
    assert.throws(() => readGenerateOptions({ guided: {} }, NONE), failsWith('ERR_INVALID_OPTION', /nothing set/));
  } finally {
    for (const name of ['0', 'maxTokens', 'json']) Reflect.deleteProperty(Object.prototype, name);
  }
});

test('what throws when it is read is ERR_INVALID_OPTION', () => {
  const detached = new Float32Array(4);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const thrower = {
    get maxTokens(): number {
      throw new Error('no');
    },
  };
  for (const options of [
    thrower,
    revoked.proxy,
    { stop: revoked.proxy },
    { stopTokens: Object.create(Float32Array.prototype) },
    { lora: { id: 1, weights: { data: Object.create(Float32Array.prototype), shape: [0] } } },
    { lora: { id: 1, weights: { data: detached, shape: [4] }, config: { data: detached, shape: [0] } } },
    { guided: { jsonSchema: cyclic } },
    { guided: { jsonSchema: { big: 1n } } },
  ]) {
    assert.throws(() => readGenerateOptions(options, NONE), { code: 'ERR_INVALID_OPTION' });
  }
});

test('a tensor is copied by its own type, whatever its slice() does', () => {
  class Sliced extends Int32Array {
    override slice(): Int32Array<ArrayBuffer> {
      return new Int32Array(1000);
    }
  }
  const tensor = { data: Sliced.of(1, 2), shape: [2] };
  const { lora } = readGenerateOptions({ lora: { id: 1, weights: tensor, config: tensor } }, NONE).extras;
  assert.deepEqual(lora?.weights?.data, Int32Array.of(1, 2));
});

test('a bad value is shown in one short line, however deep, wide or broken it is', () => {
  const cyclic: unknown[] = [];
  cyclic.push(cyclic, cyclic);
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  let wide: unknown = 1;
  for (let i = 0; i < 50; i++) wide = new Array(50).fill(wide);
  for (const value of [cyclic, wide, revoked.proxy, [revoked.proxy], 'x'.repeat(50_000_000), Symbol('s'), 1n]) {
    const found = show(value);
    assert.ok(found.length <= 80 && !found.includes('\n'), found);
  }
  assert.equal(show([[[1]], 'a', null]), '[[an array], "a", null]');
});
