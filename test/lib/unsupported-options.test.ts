import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type GenerateOptions, LLM, type LoadOptions } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';
import { failsAbout } from '../tools/fails-with.js';

const lookahead = { window: 4, ngram: 3, verificationSet: 4 };

const REQUESTS: readonly GenerateOptions[] = [
  { beamDiversityRate: 0.5, beamWidth: 2 },
  { beamWidths: [2, 3], beamWidth: 2 },
  { topPDecay: 0.5 },
  { topPMin: 0.5 },
  { topPResetToken: 3 },
  { additionalOutputs: ['hidden_states'] },
  { lora: { id: 1 } },
  { lookahead },
  { eagle: { greedy: false } },
  { draft: { tokens: [1], acceptanceThreshold: 0.5 } },
];

const LOADS: readonly LoadOptions[] = [
  { kvCache: { hostBytes: 1 } },
  { kvCache: { onboardBlocks: false } },
  { kvCache: { offloadMinPriority: 1 } },
  { kvCache: { maxAttentionWindows: [8] } },
  { kvCache: { sinkTokens: 1 } },
  { kvCache: { uvm: true } },
  { scheduler: { capacityPolicy: 'static-batch' } },
  { scheduler: { chunkingPolicy: 'equal-progress' } },
  { scheduler: { batchSizeTuning: true } },
  { scheduler: { maxNumTokensTuning: true } },
  { scheduler: { movingAverageWindow: 8 } },
  { scheduler: { batchSizeTable: [[1, 1]] } },
  { chunkedContext: false },
  { parallel: { mode: 'leader' } },
  { decoding: { mode: 'top-k' } },
  { normalizeLogprobs: true },
  { additionalOutputs: [{ name: 'hidden_states' }] },
  { peftCache: { copyStreams: 1 } },
  { gpuWeightsFraction: 0.5 },
  { perf: { cudaGraph: true } },
  { receivePollPeriodMs: 1 },
  { maxSequenceIdleMs: 1 },
  { failFastOnAttentionWindow: true },
];

/** The option: that of a group of the executor's options by its path, any other by its own name. */
function optionIn(options: object): string {
  const [[name, value]] = Object.entries(options) as [[string, unknown]];
  const isPart = ['kvCache', 'scheduler', 'decoding', 'peftCache', 'draft'].includes(name);
  return isPart ? `${name}.${Object.keys(value as object).at(-1)}` : name;
}

describe('the CPU executor refuses by name', () => {
  for (const options of LOADS) {
    test(`an engine loaded with ${JSON.stringify(options)}`, async () => {
      const loading = LLM.load(await tinyEngine(), { ...options, executor: 'cpu' });
      const option = optionIn(options);
      await assert.rejects(
        loading,
        failsAbout(
          option,
          'ERR_UNSUPPORTED',
          RegExp(`^${option} is (set|true|false|\\d+); expected .*\\. Remove it\\.$`),
        ),
      );
    });
  }

  test('options of blocks in host memory by what it has instead', async () => {
    for (const kvCache of [{ hostBytes: 1 }, { onboardBlocks: true }, { offloadMinPriority: 1 }]) {
      const message = /with the executor 'cpu' all blocks are in host memory, .* only 'cuda' and 'tensorrt-llm' move/;
      await assert.rejects(
        LLM.load(await tinyEngine(), { kvCache, executor: 'cpu' }),
        failsAbout(`kvCache.${Object.keys(kvCache)[0]}`, 'ERR_UNSUPPORTED', message),
      );
    }
  });

  test('each option of a request that it does not do', async () => {
    const llm = await LLM.load(await tinyEngine(), { executor: 'cpu' });
    try {
      for (const options of REQUESTS) {
        const running = llm.generate('Once', options);
        const option = optionIn(options);
        await assert.rejects(running, failsAbout(option, 'ERR_UNSUPPORTED', RegExp(`^${option} .*Remove`)));
      }
    } finally {
      await llm.close();
    }
  });
});
