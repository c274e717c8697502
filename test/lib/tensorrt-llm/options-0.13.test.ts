import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LoadOptions } from 'node-tensorrt-llm';
import { testBeamSearch } from '../../tools/beam-search.js';
import { failsWith } from '../../tools/fails-with.js';
import { withStandIn } from '../../tools/stand-in.js';

testBeamSearch('TensorRT-LLM 0.13, over the stand-in', (body) => withStandIn('0.13', body));

test('what 0.13 lacks is refused with the version that has it', async () => {
  const loads: readonly [LoadOptions, RegExp][] = [
    [
      { guidedDecoding: 'xgrammar' },
      /^guidedDecoding is set; expected it unset, because TensorRT-LLM 0\.13\.0 does not have it; 0\.16 and newer do\./,
    ],
    [{ kvCache: { uvm: true } }, /^kvCache\.uvm is set.*1\.0/],
    [{ gatherGenerationLogits: true }, /^gatherGenerationLogits is set.*0\.19/],
    [{ failFastOnAttentionWindow: true }, /^failFastOnAttentionWindow is set.*1\.0/],
    [{ perf: { cudaGraph: true } }, /^perf\.cudaGraph is set.*0\.14/],
  ];
  const nothing = () => Promise.resolve();
  for (const [options, words] of loads) {
    await assert.rejects(withStandIn('0.13', nothing, options), failsWith('ERR_UNSUPPORTED', words));
  }
  await withStandIn('0.13', async (llm) => {
    for (const options of [
      { cacheSalt: 'a' },
      { guided: { json: true } },
      { kvRetention: { decodePriority: 1 } },
    ] as const) {
      const running = llm.generate({ tokens: [1] }, options);
      await assert.rejects(running, failsWith('ERR_UNSUPPORTED', RegExp(`^${Object.keys(options)[0]} `)));
    }
  });
});
