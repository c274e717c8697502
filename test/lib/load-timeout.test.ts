import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { hostsOf } from '../tools/hosts.js';

describe('a load that takes longer than loadTimeoutMs', () => {
  for (const isolation of ['none', 'process'] as const) {
    test(`rejects (isolation: '${isolation}')`, async () => {
      const dir = await scriptedEngine({ load_ms: 1_000_000 });
      const load = LLM.load(dir, { executor: { library: SCRIPTED_LIBRARY }, isolation, loadTimeoutMs: 300 });
      await assert.rejects(load, (error) => {
        failsWith('ERR_LOAD_TIMEOUT', dir, '300 ms (loadTimeoutMs)', 'NCCL_DEBUG')(error);
        return (error as Error).message.includes('stays in this process') === (isolation === 'none');
      });
      assert.deepEqual(hostsOf(process.pid), []);
    });
  }

  test('is the only one that is limited: requests afterwards are not', async () => {
    const llm = await LLM.load(await tinyEngine(), { loadTimeoutMs: 100_000 });
    assert.equal((await llm.generate('abc', { maxTokens: 3, ignoreEos: true })).usage.completionTokens, 3);
    await llm.close();
  });
});

test('a loadTimeoutMs of 0 is refused', async () => {
  await assert.rejects(LLM.load('engine', { loadTimeoutMs: 0 }), failsWith('ERR_INVALID_OPTION', 'loadTimeoutMs'));
});
