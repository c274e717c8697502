import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { decodeKvEvents } from '#lib/addon/kv-events.js';
import { tinyEngine } from '../../tools/engines.js';
import { failsAbout } from '../../tools/fails-with.js';

test('events of all types are read from their numbers, hashes and tokens', () => {
  const events = decodeKvEvents({
    numbers: Float64Array.from([
      ...[0, 0, 0, 2, 8, 4],
      ...[1, 1, 128, 0, 2, /* blocks */ 2, 0, 35, -1, /* and */ 1, 1, 90, 0],
      ...[2, 1, 0, 1, 1, /* block */ 0, 0, 35, 7],
      ...[3, 2, 0, 2],
      ...[5, 3, 0, 6, 0, 1, 35, 90],
    ]),
    hashes: BigUint64Array.from([10n, 11n, 11n, 2n ** 64n - 1n, 11n, 10n, 12n]),
    tokens: Int32Array.from([1, 2, 3]),
  });
  const [ten, eleven, twelve] = ['000000000000000a', '000000000000000b', '000000000000000c'];
  const windowSize = undefined;
  assert.deepEqual(events, [
    { eventId: 0, windowSize, type: 'created', numBlocksPerCacheLevel: [8, 4] },
    {
      eventId: 1,
      windowSize: 128,
      type: 'stored',
      parentHash: undefined,
      blocks: [
        { blockHash: ten, tokens: [1, 2], cacheLevel: 0, priority: 35, loraId: undefined },
        { blockHash: eleven, tokens: [3], cacheLevel: 1, priority: 90, loraId: 0 },
      ],
    },
    {
      eventId: 2,
      windowSize,
      type: 'stored',
      parentHash: eleven,
      blocks: [{ blockHash: 'ffffffffffffffff', tokens: [], cacheLevel: 0, priority: 35, loraId: 7 }],
    },
    { eventId: 3, windowSize, type: 'removed', blockHashes: [eleven, ten] },
    {
      eventId: 5,
      windowSize,
      type: 'updated',
      blockHash: twelve,
      cacheLevel: { oldValue: 0, newValue: 1 },
      priority: { oldValue: 35, newValue: 90 },
    },
  ]);
});

test('where no events are collected, the error names the option that collects them', async () => {
  const llm = await LLM.load(await tinyEngine(), { executor: 'cpu' });
  const fails = failsAbout('kvCache.eventBufferSize', 'ERR_UNSUPPORTED', 'kvCache: { eventBufferSize }');
  assert.throws(() => llm.takeKvCacheEvents(), fails);
  assert.throws(() => llm.kvCacheEvents(), fails);
  await llm.close();
});
