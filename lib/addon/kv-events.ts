/** A block of the KV cache that later prompts can find. */
export interface KvCacheBlock {
  /** Names the block and all tokens before it, in 16 hexadecimal digits. Another load of the engine gives other hashes. */
  blockHash: string;
  /** Tokens whose keys and values it has; fewer than `llm.info.tokensPerBlock` if a sequence ended in it. */
  tokens: number[];
  /** Where it is: 0 in device memory, 1 in host memory. */
  cacheLevel: number;
  /** 0 to 100; blocks with a low priority are evicted first. */
  priority: number;
  /** `lora.id` of the adapter it was computed with; undefined without one. */
  loraId: number | undefined;
}

/** Something that happened to the KV cache. */
export type KvCacheEvent = {
  /** Counted from 0. Where a number is missing, events were lost because nobody took them in time. */
  eventId: number;
  /** Length in tokens of the attention window that the blocks are of; undefined: the whole context. */
  windowSize: number | undefined;
} & (
  | {
      /** The cache is new and empty: the first event of an executor. */
      type: 'created';
      /** Number of blocks in device memory, then in host memory. */
      numBlocksPerCacheLevel: number[];
    }
  | {
      /** Later prompts can find these blocks, each of which follows the one before it. */
      type: 'stored';
      /** The block that the first one follows; undefined if it starts a prompt. */
      parentHash: string | undefined;
      blocks: KvCacheBlock[];
    }
  | {
      /** Later prompts cannot find these blocks any more. */
      type: 'removed';
      blockHashes: string[];
    }
  | {
      /** A block has moved to another memory, or has another priority. */
      type: 'updated';
      blockHash: string;
      cacheLevel: { oldValue: number; newValue: number } | undefined;
      priority: { oldValue: number; newValue: number } | undefined;
    }
);

/** native/addon/kv_events_object.h has the layout. */
export interface NativeKvEvents {
  numbers: Float64Array;
  hashes: BigUint64Array;
  tokens: Int32Array;
}

/** ExecutorKvEventType of native/executor/kv_events.h. */
const CREATED = 0;
const STORED = 1;
const REMOVED = 2;
/** KV_EVENT_* of the same file. */
const HAS_CACHE_LEVEL = 1 << 1;
const HAS_PRIORITY = 1 << 2;

export function decodeKvEvents({ numbers, hashes, tokens }: NativeKvEvents): KvCacheEvent[] {
  const events: KvCacheEvent[] = [];
  let atNumber = 0;
  let atHash = 0;
  let atToken = 0;
  const number = (): number => numbers[atNumber++] as number;
  const hash = (): string => (hashes[atHash++] as bigint).toString(16).padStart(16, '0');
  const list = <Item>(item: () => Item): Item[] => Array.from({ length: number() }, item);
  const change = (isSet: boolean): { oldValue: number; newValue: number } | undefined => {
    const [oldValue, newValue] = [number(), number()];
    return isSet ? { oldValue, newValue } : undefined;
  };
  const block = (): KvCacheBlock => {
    const count = number();
    const [cacheLevel, priority, loraId] = [number(), number(), number()];
    const blockTokens = Array.from(tokens.subarray(atToken, atToken + count));
    atToken += count;
    return { blockHash: hash(), tokens: blockTokens, cacheLevel, priority, loraId: loraId < 0 ? undefined : loraId };
  };
  while (atNumber < numbers.length) {
    const [eventId, type, windowSize] = [number(), number(), number() || undefined];
    const about = { eventId, windowSize };
    if (type === CREATED) {
      events.push({ ...about, type: 'created', numBlocksPerCacheLevel: list(number) });
    } else if (type === STORED) {
      const parentHash = number() === 1 ? hash() : undefined;
      events.push({ ...about, type: 'stored', parentHash, blocks: list(block) });
    } else if (type === REMOVED) {
      events.push({ ...about, type: 'removed', blockHashes: list(hash) });
    } else {
      const set = number();
      const cacheLevel = change((set & HAS_CACHE_LEVEL) !== 0);
      const priority = change((set & HAS_PRIORITY) !== 0);
      events.push({ ...about, type: 'updated', blockHash: hash(), cacheLevel, priority });
    }
  }
  return events;
}
