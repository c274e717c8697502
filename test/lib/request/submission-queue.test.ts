import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LLMError } from 'node-tensorrt-llm';
import { type PendingPrompt, SubmissionQueue } from '#lib/request/submission-queue.js';

/** A prompt that becomes tokens when the test says so. */
class Text implements PendingPrompt<Int32Array> {
  signal: AbortSignal | undefined;
  resolve!: (tokens: Int32Array) => void;
  reject!: (error: unknown) => void;
  constructor(readonly isShort: boolean) {}

  encode(signal: AbortSignal | undefined): Promise<Int32Array> {
    this.signal = signal;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

function recordingQueue() {
  const queue = new SubmissionQueue<Int32Array>();
  const seen: string[] = [];
  const add = (name: string, prompt: Int32Array | Text): (() => void) =>
    queue.add(prompt, { submit: () => seen.push(name), fail: ({ code }) => seen.push(`${name} ${code}`) });
  return { seen, add };
}

const TOKENS = Int32Array.of(1);

test('short texts are submitted in the order they were added, whatever encoding takes', async () => {
  const { seen, add } = recordingQueue();
  const texts = Array.from({ length: 3 }, () => new Text(true)) as [Text, Text, Text];
  for (const [i, text] of texts.entries()) add(`${i}`, text);
  texts[2].resolve(TOKENS);
  texts[1].reject(new LLMError('ERR_CHAT_TEMPLATE', 'no'));
  await setImmediate();
  assert.deepEqual(seen, []);
  texts[0].resolve(TOKENS);
  await setImmediate();
  assert.deepEqual(seen, ['0', '1 ERR_CHAT_TEMPLATE', '2']);
});

test('nothing waits for a long text, and tokens wait for no text', async () => {
  const { seen, add } = recordingQueue();
  const [long, first, second] = [new Text(false), new Text(true), new Text(true)];
  add('long', long);
  add('first', first);
  add('second', second);
  add('tokens', TOKENS);
  assert.deepEqual(seen, ['tokens']);
  first.resolve(TOKENS);
  second.resolve(TOKENS);
  await setImmediate();
  assert.deepEqual(seen, ['tokens', 'first', 'second']);
  long.resolve(TOKENS);
  await setImmediate();
  assert.deepEqual(seen, ['tokens', 'first', 'second', 'long']);
});

test('a request that leaves stops its encoding, keeps nobody waiting and is not submitted', async () => {
  const { seen, add } = recordingQueue();
  const [long, first, second] = [new Text(false), new Text(true), new Text(true)];
  const leaveLong = add('long', long);
  const leaveFirst = add('first', first);
  add('second', second);
  second.resolve(TOKENS);
  leaveLong();
  assert.ok(long.signal?.aborted);
  leaveFirst();
  await setImmediate();
  assert.deepEqual(seen, ['second']);
  long.resolve(TOKENS);
  first.reject(new Error('too late'));
  await setImmediate();
  assert.deepEqual(seen, ['second']);
});

test('what encoding throws that is no LLMError becomes one', async () => {
  for (const isShort of [true, false]) {
    const { seen, add } = recordingQueue();
    const text = new Text(isShort);
    add('odd', text);
    text.reject(new Error('odd'));
    await setImmediate();
    assert.deepEqual(seen, ['odd ERR_INTERNAL']);
  }
});
