import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testBeamSearch } from '../tools/beam-search.js';
import { withScript } from '../tools/scripted.js';

const SCRIPT = { capabilities: (1 << 12) | (1 << 13), tokens_per_step: 2, step_ms: 1 };

testBeamSearch('the scripted executor, whose beams change until they have ended', (body) => withScript(SCRIPT, body));

test('an aborted beam search has no text yet, and a queue that it has left is no reason to fail', () =>
  withScript({ ...SCRIPT, step_ms: 10 }, async (llm) => {
    const generation = llm.stream(
      { tokens: [1] },
      { maxTokens: 1000, ignoreEos: true, beamWidth: 2, queueTimeoutMs: 60_000 },
    );
    while (llm.stats().steps < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    generation.abort();
    const { text, finishReason } = await generation.result;
    assert.deepEqual([text, finishReason], ['', 'cancelled']);
  }));
