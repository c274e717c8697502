import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { isError, messageOf } from '#lib/base/errors.js';
import { isNotFound } from '#lib/base/file-errors.js';

const THROWS = `
const { LLMError } = await import('node-tensorrt-llm');
throw new LLMError('ERR_CLOSED', 'closed', { option: 'a', requestId: 3 });
`;

test("an error that a worker does not catch has its code in the worker's 'error' event", async () => {
  const url = new URL(
    `data:text/javascript,${encodeURIComponent(THROWS.replace('node-tensorrt-llm', import.meta.resolve('node-tensorrt-llm')))}`,
  );
  const worker = new Worker(url);
  const [error] = (await once(worker, 'error')) as [Record<string, unknown>];
  const { name, code, message, option, requestId } = error;
  assert.deepEqual([name, code, message, option, requestId], ['LLMError', 'ERR_CLOSED', 'closed', 'a', 3]);
});

test("an error of another realm is one too, as Node.js's own are in Jest", () => {
  const error: unknown = runInNewContext("Object.assign(new Error('no such file'), { code: 'ENOENT' })");
  assert.ok(!(error instanceof Error) && isError(error) && isNotFound(error));
  assert.equal(messageOf(error), 'no such file');
  assert.ok(!isError({ message: 'no error' }) && isError(new DOMException('aborted')));
});
