import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LLMError } from 'node-tensorrt-llm';
import { SubmissionQueue } from '#lib/request/submission-queue.js';

const later = async (ms: number, tokens: number[]): Promise<Int32Array> => {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return Int32Array.from(tokens);
};

test('requests are submitted in the order they were added, whatever encoding takes', async () => {
  const queue = new SubmissionQueue<Int32Array>();
  const order: string[] = [];
  const done = new Promise<void>((resolve) => {
    const add = (name: string, tokens: Int32Array | Promise<Int32Array>) =>
      queue.add(tokens, {
        submit: ([first]) => {
          order.push(`${name}${first}`);
          if (order.length === 4) resolve();
        },
        fail: ({ code }) => order.push(`${name} ${code}`),
      });
    add('a', later(20, [1]));
    add('b', Promise.reject(new LLMError('ERR_CHAT_TEMPLATE', 'no')));
    add('c', Int32Array.of(3));
    add('d', later(1, [4]));
  });
  assert.deepEqual(order, []);
  await done;
  assert.deepEqual(order, ['a1', 'b ERR_CHAT_TEMPLATE', 'c3', 'd4']);
});

test('tokens are submitted at once where nothing waits before them', () => {
  const queue = new SubmissionQueue<Int32Array>();
  let submitted = false;
  queue.add(Int32Array.of(1), {
    submit: () => {
      submitted = true;
    },
    fail: assert.fail,
  });
  assert.ok(submitted);
});

test('what encoding throws that is no LLMError becomes one', async () => {
  const error = await new Promise<LLMError>((resolve) => {
    new SubmissionQueue<Int32Array>().add(Promise.reject(new Error('odd')), {
      submit: () => assert.fail(),
      fail: resolve,
    });
  });
  assert.equal(error.code, 'ERR_INTERNAL');
  assert.match(error.message, /odd/);
});
