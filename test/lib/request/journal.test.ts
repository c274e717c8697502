import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Journal, type JournalOwner } from '#lib/request/journal.js';
import { type AnswerOptions, RunningRequest } from '#lib/request/running-request.js';

class Owner implements JournalOwner {
  journalNumber = -1;
  readonly tokens: number[] = [];
  text = '';

  addRead(tokens: readonly number[], text: string): void {
    this.tokens.push(...tokens);
    this.text += text;
  }
}

test('each owner gets its own tokens, in their order, however often the journal was emptied in between', () => {
  const journal = new Journal();
  const [expected, owners] = [0, 1].map(() => [0, 1, 2].map(() => new Owner())) as [Owner[], Owner[]];
  for (let token = 0; token < 10_000; token++) {
    const step = `${token >> 2} ${token >> 3}`; // two steps can have the same text
    const owner = (token * 7) % 3;
    const begin = token % step.length;
    journal.add(owners[owner] as Owner, token, step, begin, step.length);
    expected[owner]?.addRead([token], step.slice(begin));
  }
  assert.ok(owners.every(({ journalNumber }) => journalNumber >= 0));
  journal.empty();
  assert.deepEqual(owners, expected);
});

test('what went straight to a reader that waits, and what did not, come together in the result', () => {
  const options: AnswerOptions = { n: 2, bestOf: 2, logprobs: false, stop: [], stopTokens: [], maxLogitsBytes: 0 };
  const request = new RunningRequest(1, options, String, { onStart: () => {}, onEnd: () => {} });
  const read = ['', ''];
  const take = (): boolean => {
    const chunk = request.take();
    if (chunk) read[chunk.index] += chunk.text;
    return chunk !== undefined;
  };
  const wait = (): void => {
    if (take()) return;
    const stop = (): void => {
      request.resolve = undefined;
      request.reader = undefined;
    };
    request.resolve = (step) => {
      if ('value' in step && step.value) read[step.value.index] += step.value.text;
    };
    request.reader = { wake: () => take() && stop() };
  };
  const tokens = Int32Array.of(5);
  const rest = { stopString: undefined, stopToken: undefined, logprobs: undefined, logits: undefined };
  for (let i = 0; i < 100; i++) {
    for (const index of [0, 1]) {
      const part = { index, text: `${i}`, tokens, tokensBegin: 0, tokensEnd: 1, ...rest };
      if (index === 0 && i % 10 !== 9) request.onToken(5, `a${i}b`, 1, 1 + `${i}`.length);
      else request.onText({ ...part, finishReason: i === 99 ? 'length' : undefined });
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
