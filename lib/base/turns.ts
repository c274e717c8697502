import { setImmediate } from 'node:timers'; // a program's tests may replace the global one

/** In ms: how long one turn of the event loop works on requests before everything else gets its turn. */
const SLICE_MS = 10;

/** Turns are told apart only from here on: setImmediate in each of them would cost more than the work of most. */
const UNCOUNTED_MS = 1;

/** Does one step, and returns whether there is another. Must not throw. */
export type Work = () => boolean;

/** In this turn; up to UNCOUNTED_MS may be of earlier ones. */
let spentMs = 0;
let hasNextTurn = false;

/**
 * Work that may come in thousands at once. As much of it as one turn of the event loop has time for is done at once, and the
 * rest in the turns after it, in the order it came. All lanes of a thread share that time.
 */
class Lane {
  readonly #waiting: Work[] = [];
  #next = 0;

  /** Returns whether all of it is done already. */
  do(work: Work): boolean {
    if (this.#waiting.length === 0 && finish(work)) return true;
    this.#waiting.push(work);
    return false;
  }

  /** Does one thing. */
  once(act: () => void): void {
    this.do(() => {
      act();
      return false;
    });
  }

  /** Does it to each item, which may be added to or taken out meanwhile; resolves when that is done. `act` must not throw. */
  each<Item>(items: Iterable<Item>, act: (item: Item) => void): Promise<void> {
    const left = items[Symbol.iterator]();
    return new Promise((resolve) => {
      this.do(() => {
        const { done, value } = left.next();
        if (done) resolve();
        else act(value);
        return !done;
      });
    });
  }

  goOn(): void {
    while (this.#next < this.#waiting.length) {
      if (!finish(this.#waiting[this.#next] as Work)) break;
      this.#waiting[this.#next++] = DONE; // what it holds is free before the others are done
    }
    if (this.#next < this.#waiting.length) return;
    this.#waiting.length = 0;
    this.#next = 0;
  }
}

const DONE: Work = () => false;

/** Requests that end: first, because they give back what others wait for. */
export const endings = new Lane();
/** What executors have told. */
export const arrivals = new Lane();
/** Requests for the executor. */
export const submissions = new Lane();

const lanes = [endings, arrivals, submissions];

/** Returns whether all steps are done. */
function finish(work: Work): boolean {
  let begin = performance.now();
  let hasMore = true;
  while (hasMore && spentMs < SLICE_MS) {
    hasMore = work();
    const now = performance.now();
    spentMs += now - begin;
    begin = now;
  }
  if (spentMs >= UNCOUNTED_MS && !hasNextTurn) {
    hasNextTurn = true;
    setImmediate(nextTurn);
  }
  return !hasMore;
}

function nextTurn(): void {
  hasNextTurn = false;
  spentMs = 0;
  for (const lane of lanes) lane.goOn();
}
