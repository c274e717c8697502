import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { makeEventDecoder, type RequestSink } from '#lib/addon/events.js';
import { endings } from '#lib/base/turns.js';

// The layout is that of native/addon/events.h.
const TEXT = 0;
const START = 1;
const END = 2;
const ERROR = 3;
const CONTEXT_LOGITS = 4;
const PROMPT_LOGPROBS = 5;
const ADDITIONAL_OUTPUTS = 6;
const TOKENS = 7;
const EMBEDDING = 8;
const METRICS = 9;

function recorder(log: unknown[], name: string): RequestSink {
  return {
    onStart: (...args) => log.push([name, 'start', ...args]),
    onToken: (token, stepText, begin, end) => log.push([name, token, stepText.slice(begin, end)]),
    onText: ({ tokens, tokensBegin, tokensEnd, ...part }) =>
      log.push([name, { ...part, tokens: [...tokens.slice(tokensBegin, tokensEnd)] }]),
    onPromptLogprobs: (...args) => log.push([name, 'prompt', ...args]),
    onAdditionalOutputs: (...args) => log.push([name, 'additional', ...args]),
    onContextLogits: ({ rows }) => log.push([name, 'context', rows]),
    onEmbedding: (embedding) => log.push([name, 'embedding', ...embedding]),
    onMetrics: (metrics) => log.push([name, metrics]),
    onEnd: () => log.push([name, 'end']),
    onError: (...args) => log.push([name, 'error', ...args]),
  };
}

const part = { index: 0, finishReason: undefined, stopString: undefined, stopToken: undefined };
const none = [undefined, undefined, undefined] as const;
const plain = { logprobs: undefined, logits: undefined };

test('what the executor counted comes before the end, and is dropped for nobody', () => {
  const log: unknown[] = [];
  const onEvents = makeEventDecoder(new Map([[2, recorder(log, 'a')]]));
  const numbers = [...[METRICS, 1, 9, 9, 9, 9, 9, 9], ...[METRICS, 2, 3, 1, 2, 5, 4, 7.5], ...[END, 2]];
  onEvents(Float64Array.from(numbers), numbers.length, '', new Int32Array(0), 0, ...none);
  const metrics = {
    kvBlocksAllocated: 3,
    kvBlocksReused: 1,
    kvBlocksMissed: 2,
    draftTokens: 5,
    draftTokensAccepted: 4,
    timeToLastTokenMs: 7.5,
  };
  assert.deepEqual(log, [
    ['a', metrics],
    ['a', 'end'],
  ]);
});

test('one call is taken apart by request, with text cut by UTF-16 length', () => {
  const log: unknown[] = [];
  const onEvents = makeEventDecoder(
    new Map([
      [1, recorder(log, 'a')],
      [2, recorder(log, 'b')],
    ]),
  );
  const numbers = [
    ...[START, 1, 10, 4, 0.5],
    ...[TEXT, 1, 0, 3, 2, 0, 0, 0, 0, 0],
    ...[TEXT, 7, 0, 1, 1, 0, 0, 0, 0, 0], // nobody listens: its text and token are passed over
    ...[TEXT, 2, 1, 2, 1, 2, 1, 3, 0, 0],
    ...[END, 2],
    ...[ERROR, 1, 14, 4, 12],
    ...[ERROR, 2, 1, 2, 0],
  ];
  onEvents(
    Float64Array.from([...numbers, 99, 99]),
    numbers.length,
    '😀ax好ofullmaxQueueSizeno',
    Int32Array.of(5, 6, 7, 8, 9),
    5,
    undefined,
    undefined,
    undefined,
  );
  assert.deepEqual(log, [
    ['a', 'start', 10, 4, 0.5],
    ['a', { ...part, ...plain, text: '😀a', tokens: [5, 6] }],
    ['b', { ...part, ...plain, index: 1, text: '好o', tokens: [8], finishReason: 'stop', stopString: 3 }],
    ['b', 'end'],
    ['a', 'error', 14, 'full', 'maxQueueSize'],
    ['b', 'error', 1, 'no', undefined],
  ]);
});

test('an embedding goes to its request, also behind one where nobody listens', () => {
  const log: unknown[] = [];
  const onEvents = makeEventDecoder(new Map([[2, recorder(log, 'b')]]));
  const numbers = [...[EMBEDDING, 1], ...[EMBEDDING, 2], ...[END, 2]];
  const logits = [[1], [2, 3]].map((data) => ({ data: Float32Array.from(data), rows: 1, columns: data.length }));
  onEvents(Float64Array.from(numbers), numbers.length, '', new Int32Array(0), 0, undefined, logits, undefined);
  assert.deepEqual(log, [
    ['b', 'embedding', 2, 3],
    ['b', 'end'],
  ]);
});

test('log-probabilities and logits go with the part they belong to, also where nobody listens', () => {
  const log: unknown[] = [];
  const onEvents = makeEventDecoder(new Map([[2, recorder(log, 'b')]]));
  const numbers = [
    ...[TEXT, 1, 0, 0, 1, 0, 0, 0, 1, 1],
    ...[CONTEXT_LOGITS, 2],
    ...[PROMPT_LOGPROBS, 2, 2],
    ...[TEXT, 2, 0, 0, 2, 3, 0, 0, 1, 0],
  ];
  const logprobs = [-9, 1, 40, -1, Number.NaN, 0, -7, 1, 30, -2, -0.5, 0, -0.25, 2, 11, -0.25, 12, -3];
  const logits = [1, 5].map((rows) => ({ data: new Float32Array(rows), rows, columns: 1 }));
  onEvents(
    Float64Array.from(numbers),
    numbers.length,
    '',
    Int32Array.of(1, 2, 3),
    3,
    Float64Array.from(logprobs),
    logits,
    undefined,
  );
  const top = [
    { token: 11, logprob: -0.25 },
    { token: 12, logprob: -3 },
  ];
  const expected = { ...part, text: '', tokens: [2, 3], finishReason: 'length', logits: undefined };
  assert.deepEqual(log, [
    ['b', 'context', 5],
    [
      'b',
      'prompt',
      0,
      [
        { logprob: Number.NaN, top: [] },
        { logprob: -7, top: [{ token: 30, logprob: -2 }] },
      ],
    ],
    [
      'b',
      {
        ...expected,
        logprobs: [
          { logprob: -0.5, top: [] },
          { logprob: -0.25, top },
        ],
      },
    ],
  ]);
});

test('tensors go with the request and output they are of, also where nobody listens', () => {
  const log: unknown[] = [];
  const onEvents = makeEventDecoder(new Map([[2, recorder(log, 'b')]]));
  const numbers = [ADDITIONAL_OUTPUTS, 1, 0, 1, ADDITIONAL_OUTPUTS, 2, 3, 2];
  const tensors = [0, 2, 5].map((dataType) => ({
    name: `t${dataType}`,
    data: new Uint16Array(2),
    shape: [2],
    dataType,
  }));
  onEvents(Float64Array.from(numbers), numbers.length, '', new Int32Array(0), 0, undefined, undefined, tensors);
  const expected = { data: new Uint16Array(2), shape: [2] };
  const given = [
    { ...expected, name: 't2', dataType: 'bfloat16' },
    { ...expected, name: 't5', dataType: 'int32' },
  ];
  assert.deepEqual(log, [['b', 'additional', 3, given]]);
});

test('a run of tokens goes to its requests one by one, between other events', () => {
  const log: unknown[] = [];
  const onEvents = makeEventDecoder(new Map([1, 2].map((id) => [id, recorder(log, `${id}`)])));
  const numbers = [
    ...[TOKENS, 3, 1, 2, 7, 1, 2, 0], // nobody listens to 7
    ...[TEXT, 1, 0, 1, 1, 0, 0, 0, 0, 0],
    ...[TOKENS, 2, 1, 1, 2, 1],
    ...[END, 1],
  ];
  onEvents(Float64Array.from(numbers), numbers.length, '😀xabc', Int32Array.of(5, 6, 7, 8, 9, 4), 6, ...none);
  assert.deepEqual(log, [
    ['1', 5, '😀'],
    ['2', 7, ''],
    ['1', { ...part, ...plain, text: 'a', tokens: [8] }],
    ['1', 9, 'b'],
    ['2', 4, 'c'],
    ['1', 'end'],
  ]);
});

test('what a turn of the event loop has no time for comes later, in order, and the arrays may be written over', async () => {
  await setImmediate();
  const log: unknown[] = [];
  const onEvents = makeEventDecoder(new Map([1, 2].map((id) => [id, recorder(log, `${id}`)])));
  const end = performance.now() + 12;
  endings.do(() => performance.now() < end);
  const numbers = Float64Array.of(TOKENS, 2, 1, 1, 2, 1, END, 1);
  const tokens = Int32Array.of(5, 6);
  onEvents(numbers, 8, 'ab', tokens, 2, ...none);
  numbers.set([TOKENS, 1, 2, 1, END, 2]);
  tokens[0] = 7;
  onEvents(numbers, 6, 'c', tokens, 1, ...none);
  numbers.fill(0);
  tokens.fill(0);
  assert.deepEqual(log, []);
  while (log.length < 5) await setImmediate();
  assert.deepEqual(log, [
    ['1', 5, 'a'],
    ['2', 6, 'b'],
    ['1', 'end'],
    ['2', 7, 'c'],
    ['2', 'end'],
  ]);
});

test('log-probabilities of a long prompt are handed out over several turns', async () => {
  await setImmediate();
  const COUNT = 1000;
  const seen: number[] = [];
  const onPromptLogprobs = (first: number, logprobs: unknown[]): void => {
    const end = performance.now() + 6;
    while (performance.now() < end);
    seen.push(first, logprobs.length);
  };
  const log: unknown[] = [];
  const onEvents = makeEventDecoder(new Map([[1, { ...recorder(log, '1'), onPromptLogprobs }]]));
  const logprobs = Float64Array.from(Array.from({ length: COUNT }, () => [-1, 0]).flat());
  onEvents(
    Float64Array.of(PROMPT_LOGPROBS, 1, COUNT, END, 1),
    5,
    '',
    new Int32Array(0),
    0,
    logprobs,
    undefined,
    undefined,
  );
  assert.ok(seen.length < 8, `${seen.length / 2} parts in one turn`);
  while (log.length === 0) await setImmediate();
  assert.deepEqual(log, [['1', 'end']]);
  assert.deepEqual([seen.at(-2), seen.at(-1)], [960, 40]);
});

test('a run of very many tokens is handed out over several turns', async () => {
  await setImmediate();
  const COUNT = 3000;
  let seen = 0;
  const onToken = (token: number): void => {
    assert.equal(token, seen++);
    const end = performance.now() + (token % 1024 === 0 ? 12 : 0);
    while (performance.now() < end);
  };
  const onEvents = makeEventDecoder(new Map([[1, { ...recorder([], ''), onToken }]]));
  const numbers = Float64Array.from([TOKENS, COUNT, ...Array.from({ length: COUNT }, () => [1, 0]).flat()]);
  onEvents(
    numbers,
    numbers.length,
    '',
    Int32Array.from({ length: COUNT }, (_, i) => i),
    COUNT,
    ...none,
  );
  assert.equal(seen, 1024);
  while (seen < COUNT) await setImmediate();
});
