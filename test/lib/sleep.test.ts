import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { LLM, type LoadOptions, type RequestEndEvent } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { hostsOf } from '../tools/hosts.js';

const SCRIPTED = { executor: { library: SCRIPTED_LIBRARY } } as const;

/** Runs with an LLM whose executor's script can be changed between two loads; it is closed at the end. */
async function withChangingScript(
  run: (llm: LLM, change: (script: object) => Promise<void>) => Promise<void>,
  options: LoadOptions = {},
): Promise<void> {
  const dir = await scriptedEngine({});
  const llm = await LLM.load(dir, { ...SCRIPTED, ...options });
  try {
    await run(llm, (script) => writeFile(join(dir, 'script.json'), JSON.stringify(script)));
  } finally {
    await llm.close();
  }
}

/** A model without weight files whose weights take 50 MB. */
async function largeVocabulary(): Promise<string> {
  const dir = await temporaryDirectory();
  const config = JSON.parse(await readFile(join(await tinyEngine(), 'config.json'), 'utf8'));
  config.pretrained_config.vocab_size = 400_000;
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  return dir;
}

describe('sleep()', () => {
  test("gives back the memory of the CPU executor's weights, and wake() takes it again", async () => {
    const llm = await LLM.load(await largeVocabulary(), {
      executor: 'cpu',
      loadFormat: 'dummy',
      threads: 1,
      maxBatchSize: 1,
    });
    const { weightBytes } = llm.info;
    assert.ok(weightBytes > 50e6, `${weightBytes} bytes of weights`);
    const tokens = async () => {
      const result = await llm.generate({ tokens: [1, 2, 3] }, { maxTokens: 4, ignoreEos: true });
      return [...(result.outputs[0]?.tokens ?? [])];
    };
    const expected = await tokens();
    const loaded = process.memoryUsage.rss();
    await llm.sleep();
    const asleep = process.memoryUsage.rss();
    assert.ok(loaded - asleep > 0.8 * weightBytes, `${loaded} bytes, then ${asleep}`);
    await llm.wake();
    assert.deepEqual(await tokens(), expected);
    assert.ok(process.memoryUsage.rss() - asleep > 0.8 * weightBytes);
    await llm.close();
  });

  test('ends the process of an isolated executor, and wake() starts another', async () => {
    const llm = await LLM.load(await tinyEngine(), { executor: 'cpu', isolation: 'process' });
    await llm.sleep();
    assert.deepEqual(hostsOf(process.pid), []);
    await llm.wake();
    assert.equal(hostsOf(process.pid).length, 1);
    await llm.close();
  });

  test('tells subscribers the start and the end of the requests that it refuses', () =>
    withChangingScript(async (llm) => {
      await llm.sleep();
      const ended: RequestEndEvent[] = [];
      const listener = (event: unknown): void => void ended.push(event as RequestEndEvent);
      subscribe('node-tensorrt-llm:request:end', listener);
      await assert.rejects(llm.generate('a'), failsWith('ERR_ASLEEP'));
      unsubscribe('node-tensorrt-llm:request:end', listener);
      assert.equal(ended.length, 1);
      failsWith('ERR_ASLEEP')(ended[0]?.error);
    }));

  test('refuses a wrong option and stays awake', () =>
    withChangingScript(async (llm) => {
      await assert.rejects(llm.sleep({ drainMs: -1 }), failsWith('ERR_INVALID_OPTION', 'drainMs is -1'));
      assert.equal(llm.isAsleep, false);
    }));
});

describe('wake()', () => {
  test('that fails rejects all who wait for it once, and leaves the LLM asleep until one succeeds', () =>
    withChangingScript(async (llm, change) => {
      await llm.sleep();
      await change({ throw_in: 'create' });
      const failed = await Promise.allSettled([llm.wake(), llm.wake()]);
      const [first, second] = failed.map((each) => each.status === 'rejected' && each.reason);
      assert.ok(first && first === second, 'one load, one error');
      assert.equal(llm.isAsleep, true);
      await assert.rejects(llm.generate('a'), failsWith('ERR_ASLEEP'));
      await llm.sleep();
      await change({});
      await llm.wake();
      assert.equal((await llm.generate('a', { maxTokens: 3 })).usage.completionTokens, 3);
    }));

  test('takes no longer than loadTimeoutMs, and the next one has its own time', () =>
    withChangingScript(
      async (llm, change) => {
        await llm.sleep();
        await change({ load_ms: 3_600_000 });
        await assert.rejects(llm.wake(), failsWith('ERR_LOAD_TIMEOUT', '300 ms'));
        await change({});
        await llm.wake();
      },
      { loadTimeoutMs: 300 },
    ));

  test('ends with ERR_CLOSED where the LLM is closed during it', () =>
    withChangingScript(async (llm, change) => {
      await llm.sleep();
      await change({ load_ms: 3_600_000 });
      const waking = assert.rejects(llm.wake(), failsWith('ERR_CLOSED'));
      await llm.close();
      await waking;
    }));

  test('of an LLM that is awake does nothing, and sleep() during it comes after it', () =>
    withChangingScript(async (llm, change) => {
      await llm.wake();
      await llm.sleep();
      await change({ load_ms: 5 });
      const order: string[] = [];
      const waking = llm.wake().then(() => order.push('awake'));
      const sleeping = llm.sleep().then(() => order.push('asleep'));
      await Promise.all([waking, sleeping]);
      assert.deepEqual(order, ['awake', 'asleep']);
      assert.equal(llm.isAsleep, true);
    }));
});
