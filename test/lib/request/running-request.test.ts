import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Chunk } from 'node-tensorrt-llm';
import type { TextPart } from '#lib/addon/events.js';
import { type AnswerOptions, RunningRequest } from '#lib/request/running-request.js';

const ANSWER: AnswerOptions = { n: 1, bestOf: 1, logprobs: false, stop: [], stopTokens: [], maxLogitsBytes: 0 };

function requestWith(options: Partial<AnswerOptions>): RunningRequest {
  return new RunningRequest(1, { ...ANSWER, ...options }, String, { onStart: () => {}, onEnd: () => {} });
}

function part(index: number, tokens: number[], more: Partial<TextPart> = {}): TextPart {
  return {
    index,
    text: tokens.map((token) => `${token} `).join(''),
    tokens: Int32Array.from(tokens),
    tokensBegin: 0,
    tokensEnd: tokens.length,
    finishReason: undefined,
    stopString: undefined,
    stopToken: undefined,
    logprobs: undefined,
    logits: undefined,
    ...more,
  };
}

const readAll = (request: RunningRequest): Chunk[] => {
  const chunks: Chunk[] = [];
  for (let chunk = request.take(); chunk; chunk = request.take()) chunks.push(chunk);
  return chunks;
};

const resultOf = ({ outcome }: RunningRequest) => {
  assert.ok(outcome && 'result' in outcome);
  return outcome.result;
};

test('bestOf keeps the likeliest outputs, likeliest first, and nothing is read before all have ended', () => {
  const request = requestWith({ n: 2, bestOf: 3 });
  for (const [index, logprob] of [-3, -1, -2].entries()) {
    const logprobs = [{ logprob, top: [] }];
    request.onText(part(index, [10 + index], { logprobs, finishReason: 'length' }));
    assert.deepEqual(readAll(request), []);
  }
  request.onEnd();
  const { outputs, usage } = resultOf(request);
  assert.deepEqual(
    outputs.map(({ index, text, cumulativeLogprob, logprobs }) => [index, text, cumulativeLogprob, logprobs]),
    [
      [0, '11 ', -1, undefined],
      [1, '12 ', -2, undefined],
    ],
  );
  assert.equal(usage.completionTokens, 3, 'those left out were made too');
  const chunks = readAll(request).map(({ index, text }) => [index, text]);
  assert.deepEqual(chunks.sort(), [
    [0, '11 '],
    [1, '12 '],
  ]);
});

test('an output says which stop token ended it, and one that ended otherwise does not', () => {
  const request = requestWith({ n: 2, bestOf: 2, stopTokens: [[4, 5], [9]] });
  request.onText(part(0, [3, 4, 5], { finishReason: 'stop' }));
  request.onText(part(1, [3, 9], { finishReason: 'length' }));
  request.onEnd();
  assert.deepEqual(
    resultOf(request).outputs.map(({ stopReason }) => stopReason),
    [5, undefined],
  );
});

test('log-probabilities of the prompt carry its tokens, and none for the first', () => {
  const request = requestWith({});
  request.submitted(Int32Array.of(7, 8));
  request.onPromptLogprobs(0, [{ logprob: Number.NaN, top: [] }]);
  request.onPromptLogprobs(1, [{ logprob: -0.5, top: [{ token: 8, logprob: -0.5 }] }]);
  request.onText(part(0, [1], { finishReason: 'length' }));
  request.onEnd();
  assert.deepEqual(resultOf(request).promptLogprobs, [
    null,
    { token: 8, text: '8', logprob: -0.5, top: [{ token: 8, text: '8', logprob: -0.5 }] },
  ]);
});

test('an output that never ended reads as cancelled beside one that did', () => {
  const request = requestWith({ n: 2, bestOf: 2 });
  request.onText(part(1, [5], { finishReason: 'stop' }));
  request.cancel();
  assert.deepEqual(
    resultOf(request).outputs.map(({ finishReason }) => finishReason),
    ['cancelled', 'stop'],
  );
});
