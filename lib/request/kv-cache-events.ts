import { setTimeout } from 'node:timers/promises';
import type { KvCacheEvent } from '../addon/kv-events.js';
import { type Readers, readOptions, signal } from '../base/checks.js';

/** How to follow the events of the KV cache. */
export interface KvCacheEventsOptions {
  /** Ends the iteration, which throws the signal's reason. Default: none. */
  signal?: AbortSignal | undefined;
}

const checks = { signal: signal() } satisfies Readers<KvCacheEventsOptions>;

const LOOK_EVERY_MS = 50; // waking up costs an idle process far more than the look itself

/** @throws {LLMError} `ERR_INVALID_OPTION`. */
export const readKvCacheEventsOptions = (options: KvCacheEventsOptions): AbortSignal | undefined =>
  readOptions(options, checks, 'kvCacheEvents()').signal;

/** What `take` gives, until it gives undefined. What was not read when the loop is left goes to `leave`. */
export async function* followKvEvents(
  take: () => KvCacheEvent[] | undefined,
  leave: (events: KvCacheEvent[]) => void,
  aborted: AbortSignal | undefined,
): AsyncGenerator<KvCacheEvent, undefined, undefined> {
  for (let events = take(); events; events = take()) {
    let read = 0;
    try {
      for (const event of events) {
        aborted?.throwIfAborted();
        read++;
        yield event;
      }
    } finally {
      if (read < events.length) leave(events.slice(read));
    }
    if (events.length === 0) await setTimeout(LOOK_EVERY_MS, undefined, { signal: aborted }).catch(() => {});
    aborted?.throwIfAborted();
  }
  return undefined;
}
