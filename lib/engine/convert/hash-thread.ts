import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { LLMError } from '../../base/errors.js';
import { DONE, ENDS, GIVEN, HASHED, HashRing, SLOT_BYTES, SLOTS } from './hash-ring.js';

const STUCK_MS = 60_000;

/** SHA-256 in a thread of its own, while this one reads and writes; it waits where the other is behind, so it must do nothing else. */
export class HashThread {
  #given = 0;

  private constructor(
    private readonly worker: Worker,
    private readonly ring: HashRing,
  ) {}

  /** Returns undefined if no thread can be started. */
  static async start(): Promise<HashThread | undefined> {
    const ring = new HashRing();
    try {
      const worker = new Worker(new URL('./hash-worker.js', import.meta.url), {
        workerData: ring.memory,
        execArgv: [],
      });
      await once(worker, 'message'); // that it is ready; rejects on 'error'
      return new HashThread(worker, ring);
    } catch {
      return undefined;
    }
  }

  update(bytes: Uint8Array): void {
    const { counters } = this.ring;
    for (let at = 0; at < bytes.length; at += SLOT_BYTES) {
      this.#waitUntil(HASHED, this.#given - SLOTS + 1);
      const piece = bytes.subarray(at, at + SLOT_BYTES);
      this.ring.fill(this.#given, piece);
      Atomics.store(counters, GIVEN, ++this.#given);
      Atomics.notify(counters, GIVEN);
    }
  }

  digest(): string {
    const { counters, digest } = this.ring;
    Atomics.store(counters, ENDS, this.#given + 1);
    Atomics.add(counters, GIVEN, 1); // wakes it
    Atomics.notify(counters, GIVEN);
    this.#waitUntil(DONE, 1);
    return Buffer.from(digest).toString('hex');
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }

  #waitUntil(counter: number, value: number): void {
    const { counters } = this.ring;
    for (let now = Atomics.load(counters, counter); now < value; now = Atomics.load(counters, counter)) {
      if (Atomics.wait(counters, counter, now, STUCK_MS) !== 'timed-out') continue;
      throw new LLMError(
        'ERR_INTERNAL',
        `The thread that hashes did nothing for ${STUCK_MS / 1000} s. Please report it.`,
      );
    }
  }
}
