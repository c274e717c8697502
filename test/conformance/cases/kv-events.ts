import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { KvCacheEvent, LLM } from 'node-tensorrt-llm';
import { temporaryDirectory } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { tinyAdapterTensors, writeAdapter } from '../../tools/tiny-adapter.js';
import { GREEDY } from '../requests.js';
import { conformance } from '../suite.js';

const OPTIONS = { ...GREEDY, maxTokens: 2 } as const;

/** What a router knows of an engine by its events. */
class CacheView {
  /** By the block before it and its tokens. */
  readonly #hashes = new Map<string, string>();
  readonly #keys = new Map<string, string>();
  #lastId = -1;

  add(events: readonly KvCacheEvent[]): void {
    for (const event of events) {
      assert.equal(event.eventId, ++this.#lastId, 'no event is missing');
      if (event.type === 'stored') {
        let parent = event.parentHash;
        for (const { blockHash, tokens } of event.blocks) {
          const key = `${parent} ${tokens}`;
          this.#hashes.set(key, blockHash);
          this.#keys.set(blockHash, key);
          parent = blockHash;
        }
      }
      for (const hash of event.type === 'removed' ? event.blockHashes : []) {
        assert.ok(this.#hashes.delete(this.#keys.get(hash) ?? ''), 'what is removed was stored');
      }
    }
  }

  /** Of a prompt, whose last token is computed in any case. */
  cachedTokens(prompt: readonly number[], tokensPerBlock: number): number {
    let cached = 0;
    let parent: string | undefined;
    while (cached + tokensPerBlock < prompt.length) {
      const hash = this.#hashes.get(`${parent} ${prompt.slice(cached, cached + tokensPerBlock)}`);
      if (hash === undefined) break;
      parent = hash;
      cached += tokensPerBlock;
    }
    return cached;
  }
}

/** Runs prompts of blocks of these numbers. Asserts that their events say what is found of each; gives that and the events. */
async function follow(llm: LLM, prompts: readonly (readonly number[])[]) {
  const { tokensPerBlock } = llm.info;
  const blockOf = (number: number) =>
    Array.from({ length: tokensPerBlock }, (_, i) => 3 + ((i * 7 + number * 31) % 90));
  const view = new CacheView();
  const events = llm.takeKvCacheEvents();
  view.add(events);
  const expected: number[] = [];
  const found: number[] = [];
  for (const blocks of prompts) {
    const tokens = [...blocks.flatMap(blockOf), 99];
    expected.push(view.cachedTokens(tokens, tokensPerBlock));
    found.push((await llm.generate({ tokens }, OPTIONS)).usage.cachedTokens);
    const more = llm.takeKvCacheEvents();
    view.add(more);
    events.push(...more);
  }
  assert.deepEqual(found, expected);
  return { found, events };
}

conformance(
  ['kvEvents', 'prefix cache'],
  'who follows the events knows what of a prompt is cached, also where the cache is too small for all prompts',
  async ({ llm: shared, load }) => {
    shared.takeKvCacheEvents();
    const llm = await load({ kvCache: { maxTokens: 8 * shared.info.tokensPerBlock, partialReuse: false } });
    const prompts = [
      [1, 2],
      [1, 2, 3],
      [1, 4],
      [5, 6, 7],
      [1, 2, 3],
      [8, 9, 10],
      [1, 2],
      [5, 6],
      [8, 9, 10],
      [4, 1],
    ];
    const { found } = await follow(llm, prompts);
    assert.ok(found.some((tokens) => tokens > 0));
  },
);

conformance(
  ['kvEvents', 'prefix cache', 'host memory'],
  'the events tell of blocks that move to host memory and back',
  async ({ llm: shared, load }) => {
    shared.takeKvCacheEvents();
    const maxTokens = 6 * shared.info.tokensPerBlock;
    const llm = await load({ kvCache: { maxTokens, hostBytes: 2 ** 26, partialReuse: false } });
    const prompts = [
      [1, 2],
      [3, 4],
      [5, 6],
      [7, 8],
      [9, 10],
    ];
    const { events } = await follow(llm, [...prompts, ...prompts]);
    const moves = events.flatMap((event) => (event.type === 'updated' ? [event.cacheLevel] : []));
    for (const [oldValue, newValue] of [
      [0, 1],
      [1, 0],
    ]) {
      assert.ok(moves.some((move) => move?.oldValue === oldValue && move?.newValue === newValue));
    }
  },
);

conformance(
  ['kvEvents'],
  'kvCacheEvents() begins with a new cache, begins again after sleep() and wake(), and ends when the LLM is closed',
  async ({ llm: shared, load }) => {
    shared.takeKvCacheEvents();
    const llm = await load();
    const tokens = Array.from({ length: llm.info.tokensPerBlock + 1 }, (_, i) => 3 + i);
    const events = llm.kvCacheEvents()[Symbol.asyncIterator]();
    const created = async (): Promise<number> => {
      for (;;) {
        const { value } = await events.next();
        if (value?.type !== 'stored') return value?.type === 'created' ? value.eventId : Number.NaN;
      }
    };
    assert.equal(await created(), 0);
    await llm.generate({ tokens }, OPTIONS);
    const { value } = await events.next();
    assert.ok(value?.type === 'stored' && value.parentHash === undefined);
    assert.deepEqual(value.blocks[0]?.tokens, tokens.slice(0, -1));
    assert.match(value.blocks[0]?.blockHash ?? '', /^[0-9a-f]{16}$/);
    await llm.sleep();
    assert.throws(() => llm.takeKvCacheEvents(), failsWith('ERR_ASLEEP'));
    const awake = created();
    await llm.wake();
    assert.equal(await awake, 0);
    const end = events.next();
    await llm.close();
    assert.equal((await end).done, true);
    assert.throws(() => llm.takeKvCacheEvents(), failsWith('ERR_CLOSED'));
  },
);

conformance(['kvEvents'], 'kvCacheEvents() throws the reason of its signal', async ({ llm }) => {
  llm.takeKvCacheEvents();
  const controller = new AbortController();
  const events = llm.kvCacheEvents({ signal: controller.signal })[Symbol.asyncIterator]();
  const next = events.next();
  controller.abort(new Error('the router has gone'));
  await assert.rejects(next, /the router has gone/);
});

conformance(['kvEvents', 'prefix cache'], 'what a reader has not read is for the next one', async ({ llm }) => {
  llm.takeKvCacheEvents();
  for (const first of [3, 4, 5]) {
    await llm.generate({ tokens: Array.from({ length: llm.info.tokensPerBlock + 1 }, () => first + 60) }, OPTIONS);
  }
  const ids: number[] = [];
  for (let reader = 0; reader < 2; reader++) {
    for await (const { eventId } of llm.kvCacheEvents()) {
      ids.push(eventId);
      break;
    }
  }
  ids.push(...llm.takeKvCacheEvents().map(({ eventId }) => eventId));
  assert.ok(ids.length >= 3);
  assert.deepEqual(
    ids,
    Array.from(ids, (_, i) => (ids[0] ?? 0) + i),
  );
});

conformance(
  ['kvEvents', 'prefix cache'],
  'events that nobody takes in time are dropped, oldest first, and their ids are missing',
  async ({ llm: shared, load }) => {
    shared.takeKvCacheEvents();
    const llm = await load({ kvCache: { eventBufferSize: 2 } });
    for (let i = 0; i < 4; i++) {
      const tokens = Array.from({ length: llm.info.tokensPerBlock + 1 }, () => 3 + i);
      await llm.generate({ tokens }, OPTIONS);
    }
    const ids = llm.takeKvCacheEvents().map(({ eventId }) => eventId);
    assert.ok((ids[0] ?? 0) > 0);
    assert.deepEqual(ids, [ids[0], (ids[0] ?? 0) + 1]);
  },
);

conformance(['kvEvents', 'lora', 'prefix cache'], 'a block that an adapter has computed names it', async ({ llm }) => {
  const dir = join(await temporaryDirectory(), 'adapter');
  const lora = await llm.readAdapter(await writeAdapter(dir, await tinyAdapterTensors(llm.info.dir, 9)));
  const tokens = Array.from({ length: llm.info.tokensPerBlock + 1 }, (_, i) => 3 + ((i * 11) % 90));
  llm.takeKvCacheEvents();
  await llm.generate({ tokens }, { ...OPTIONS, lora });
  await llm.generate({ tokens }, OPTIONS);
  const blocks = llm.takeKvCacheEvents().flatMap((event) => (event.type === 'stored' ? event.blocks : []));
  const whole = blocks.filter((block) => block.tokens.length === llm.info.tokensPerBlock);
  assert.deepEqual(
    whole.map(({ loraId }) => loraId),
    [lora.id, undefined],
  );
});
