import assert from 'node:assert/strict';
import { OUTCOMES, type Outcome } from './outcomes.js';

const CLAIMED = 1;
const FIRST_OUTCOME = 2;

/** The requests of one round, shared by all threads: each is taken by one thread and ends once. */
export class RoundRequests {
  readonly from: number;
  readonly count: number;
  /** For the RoundRequests of another thread. */
  readonly memory: SharedArrayBuffer;
  readonly #taken: Int32Array;
  readonly #states: Uint8Array;
  readonly #owners: Uint8Array;

  /** `from`: number of the first request. */
  constructor(from: number, count: number, memory = new SharedArrayBuffer(4 + 2 * count)) {
    this.from = from;
    this.count = count;
    this.memory = memory;
    this.#taken = new Int32Array(memory, 0, 1);
    this.#states = new Uint8Array(memory, 4, count);
    this.#owners = new Uint8Array(memory, 4 + count, count);
  }

  /** How many have been taken. */
  get taken(): number {
    return Math.min(Atomics.load(this.#taken, 0), this.count);
  }

  /** Number of a request that is now the caller's; undefined if none is left. */
  take(thread: number): number | undefined {
    const index = Atomics.add(this.#taken, 0, 1);
    if (index >= this.count) return undefined;
    Atomics.store(this.#owners, index, thread);
    Atomics.store(this.#states, index, CLAIMED);
    return this.from + index;
  }

  end(number: number, outcome: Outcome): void {
    const before = Atomics.exchange(this.#states, number - this.from, FIRST_OUTCOME + OUTCOMES.indexOf(outcome));
    assert.equal(before, CLAIMED, 'it ended twice');
  }

  /** Ends what a thread had when it was terminated. */
  endTerminated(thread: number): void {
    for (const number of this.running()) {
      if (this.#owners[number - this.from] === thread) this.end(number, 'terminated');
    }
  }

  /** Requests that are taken and have not ended; where their check failed, too. */
  running(): number[] {
    return Array.from({ length: this.count }, (_, index) => this.from + index).filter(
      (number) => Atomics.load(this.#states, number - this.from) === CLAIMED,
    );
  }

  /** Requests by outcome; call it when all threads are done. */
  tally(): Map<Outcome, number> {
    const counts = new Map<Outcome, number>();
    for (const state of this.#states) {
      // A worker can be terminated between taking a request and marking it.
      const outcome = state === 0 ? 'terminated' : OUTCOMES[state - FIRST_OUTCOME];
      if (outcome) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    }
    return counts;
  }
}
