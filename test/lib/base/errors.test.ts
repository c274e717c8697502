import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

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
