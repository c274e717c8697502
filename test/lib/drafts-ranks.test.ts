import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';

test('an engine of two ranks has room for the draws of drafts where a step has one sequence', async () => {
  const llm = await LLM.load(await tinyEngine(2), {
    executor: 'cpu',
    maxBatchSize: 1,
    decoding: { promptLookup: { maxDraftTokens: 32 } },
  });
  try {
    const tokens = [0, 1, 2, 3].flatMap(() => [70, 71, 72, 73]);
    const options = { temperature: 0, ignoreEos: true, maxTokens: 60, logitBias: { 5: 100 } }; // it says one token
    const drafted = await llm.generate({ tokens }, options);
    assert.ok(llm.stats().draftTokensAccepted > 32);
    const plain = await llm.generate({ tokens }, { ...options, promptLookup: false });
    assert.deepEqual(drafted.outputs, plain.outputs);
  } finally {
    await llm.close();
  }
});
