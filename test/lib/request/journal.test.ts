import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Journal } from '#lib/request/journal.js';
import { OutputBuffer } from '#lib/request/output-buffer.js';
import { type AnswerOptions, RunningRequest } from '#lib/request/running-request.js';

const outputs = (count: number): OutputBuffer[] =>
  Array.from({ length: count }, (_, index) => new OutputBuffer(index, undefined));

test('each output gets its own parts, in their order, however often the journal was emptied in between', () => {
  const journal = new Journal();
  const made = outputs(3);
  const texts = made.map(() => '');
  const tokens: number[][] = made.map(() => []);
  for (let i = 0; i < 10_000; i++) {
    const index = (i * 7) % 3;
    const part = Int32Array.from({ length: i % 4 }, (_, j) => i + j);
    journal.add(made[index] as OutputBuffer, `${i} `, part);
    texts[index] += `${i} `;
    tokens[index]?.push(...part);
  }
  journal.empty();
  for (const [index, output] of made.entries()) {
    assert.equal(output.take(), undefined, 'its reader has it already');
    assert.equal(output.result().text, texts[index]);
    assert.deepEqual([...output.result().tokens], tokens[index]);
  }
});

test('a part with more tokens than the journal holds keeps its place', () => {
  const journal = new Journal();
  const [output] = outputs(1) as [OutputBuffer];
  const long = Int32Array.from({ length: 10_000 }, (_, i) => i);
  journal.add(output, 'a', Int32Array.of(-1));
  journal.add(output, 'b', long);
  journal.add(output, 'c', Int32Array.of(-2));
  journal.empty();
  assert.equal(output.result().text, 'abc');
  assert.deepEqual(output.result().tokens, Int32Array.of(-1, ...long, -2));
});

test('what went straight to a reader that waits, and what did not, come together in the result', () => {
  const options: AnswerOptions = { n: 2, bestOf: 2, logprobs: false, stop: [], stopTokens: [], maxLogitsBytes: 0 };
  const request = new RunningRequest(1, options, String, { onStart: () => {}, onEnd: () => {} });
  const read = ['', ''];
  const wait = (): void => {
    const chunk = request.take();
    if (chunk) {
      read[chunk.index] += chunk.text;
      return;
    }
    request.resolve = (step) => {
      if ('value' in step && step.value) read[step.value.index] += step.value.text;
    };
  };
  const tokens = Int32Array.of(5);
  const rest = { stopString: undefined, stopToken: undefined, logprobs: undefined, logits: undefined };
  for (let i = 0; i < 100; i++) {
    for (const index of [0, 1]) {
      const part = { index, text: `${i}`, tokens, tokensBegin: 0, tokensEnd: 1, ...rest };
      request.onText({ ...part, finishReason: i === 99 ? 'length' : undefined });
    }
    for (let turn = 0; turn < (i % 3) + 1; turn++) if (!request.resolve) wait();
  }
  request.onEnd();
  request.resolve = undefined;
  for (let turn = 0; turn < 4; turn++) wait();
  const whole = Array.from({ length: 100 }, (_, i) => `${i}`).join('');
  assert.deepEqual(read, [whole, whole]);
  assert.ok(request.outcome && 'result' in request.outcome);
  assert.deepEqual(
    request.outcome.result.outputs.map(({ text, tokens: all }) => [text, all.length]),
    [
      [whole, 100],
      [whole, 100],
    ],
  );
});
