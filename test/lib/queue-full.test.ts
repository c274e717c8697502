import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LLM, type LLMError } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';
import { failsAbout } from '../tools/fails-with.js';

test('a queue that only the executor knows to be full is told in numbers too', async () => {
  const llm = await LLM.load(await tinyEngine(), { executor: 'cpu', maxBatchSize: 2, maxQueueSize: 1 });
  const long = { ignoreEos: true, maxTokens: 4000 };
  const both = llm.stream({ tokens: [1] }, { ...long, n: 2, temperature: 1 }); // takes both places
  await both[Symbol.asyncIterator]().next();
  const waiting = llm.stream({ tokens: [2] }, long);
  const refused = llm.generate({ tokens: [3] }, long);
  await assert.rejects(refused, (error) => {
    assert.deepEqual((error as LLMError).queue, { waiting: 1, limit: 1 });
    return failsAbout('maxQueueSize', 'ERR_QUEUE_FULL')(error);
  });
  for (const generation of [both, waiting]) generation.abort();
  await llm.close();
});
