import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerateOptions, LLM, LoadOptions } from 'node-tensorrt-llm';
import { testBeamSearch } from '../../tools/beam-search.js';
import { failsAbout, failsWith } from '../../tools/fails-with.js';
import { lettersOf } from '../../tools/scripted.js';
import { withStandIn } from '../../tools/stand-in.js';

testBeamSearch('TensorRT-LLM 1.2, over the stand-in', (body) => withStandIn('1.2', body));

test("info.maxBeamWidth is the engine's, or what the load narrows it to", async () => {
  const widths: number[] = [];
  const run = async (llm: LLM): Promise<void> => void widths.push(llm.info.maxBeamWidth);
  await withStandIn('1.2', run);
  await withStandIn('1.2', run, { maxBeamWidth: 2 });
  assert.deepEqual(widths, [4, 2]);
});

const lookahead = { window: 4, ngram: 3, verificationSet: 4 };

test('guided is refused where the engine was loaded without guidedDecoding, which the message names', () =>
  withStandIn('1.2', async (llm) => {
    assert.equal(llm.capabilities.guided, false);
    const guided = llm.generate({ tokens: [1] }, { guided: { json: true } });
    await assert.rejects(guided, failsWith('ERR_UNSUPPORTED', /^guided needs .*load the engine with guidedDecoding/));
  }));

test("loadFormat 'dummy' is refused, and 'auto' taken", async () => {
  const nothing = () => Promise.resolve();
  const loading = withStandIn('1.2', nothing, { loadFormat: 'dummy' });
  await assert.rejects(
    loading,
    failsAbout('loadFormat', 'ERR_UNSUPPORTED', /^loadFormat is 'dummy'; expected 'auto', .*Remove it/),
  );
  await withStandIn('1.2', nothing, { loadFormat: 'auto' });
});

test('batchInvariant is refused', () =>
  assert.rejects(
    withStandIn('1.2', () => Promise.resolve(), { batchInvariant: true }),
    failsAbout('batchInvariant', 'ERR_UNSUPPORTED', /^batchInvariant is true; expected false, .*Remove it/),
  ));

test("kvCache.dtype 'int8' is refused, because the engine has its own, and 'auto' taken", async () => {
  const nothing = () => Promise.resolve();
  await assert.rejects(
    withStandIn('1.2', nothing, { kvCache: { dtype: 'int8' } }),
    failsAbout('kvCache.dtype', 'ERR_UNSUPPORTED', /^kvCache.dtype is 'int8'; expected 'auto', .*Remove it/),
  );
  await withStandIn('1.2', nothing, { kvCache: { dtype: 'auto' } });
});

test('what the engine cannot run ends in the words of the library, with the fix', () =>
  withStandIn(
    '1.2',
    async (llm) => {
      const lora = llm.generate({ tokens: [1] }, { lora: { id: 1 } });
      await assert.rejects(lora, failsWith('ERR_INVALID_INPUT', /LoRA task 1 not found in cache.*lora\.weights/));
      const draft = llm.generate({ tokens: [1] }, { draft: { tokens: [1] } });
      await assert.rejects(draft, failsWith('ERR_INVALID_OPTION', /length \(0\).*--max_draft_len/));
      assert.equal((await llm.generate({ tokens: [1] }, { maxTokens: 2 })).usage.completionTokens, 2);
    },
    {},
    'checkpoint',
  ));

test('1.2 takes what a request and a load of any kind ask for', () => {
  const requests: readonly GenerateOptions[] = [
    { topPDecay: 0.5, topPMin: 0.25, topPResetToken: 3, temperature: 1, topP: 0.5 },
    { guided: { json: true } },
    { lora: { id: 1 } },
    { priority: 1 },
    { cacheSalt: 'a' },
    { kvRetention: { ranges: [{ start: 0, priority: 90 }], decodePriority: 1, transferMode: 'gds', directory: '/kv' } },
    { lookahead },
    { eagle: { greedy: false } },
    { draft: { tokens: [1] } },
    { timeoutMs: 60_000 },
  ];
  const load: LoadOptions = {
    guidedDecoding: 'llguidance',
    kvCache: { blockReuse: true, maxTokens: 4096, uvm: true },
    scheduler: { capacityPolicy: 'max-utilization', batchSizeTuning: true },
    decoding: { lookahead },
    peftCache: { maxAdapterSize: 32 },
    perf: { cudaGraph: true },
    maxSequenceIdleMs: 1000,
  };
  const run: Parameters<typeof withStandIn>[1] = async (llm) => {
    for (const options of requests) {
      const { text } = await llm.generate({ tokens: [1] }, { maxTokens: 3, ignoreEos: true, ...options });
      assert.equal(text, lettersOf(1, 3), JSON.stringify(options));
    }
  };
  return withStandIn('1.2', run, load);
});
