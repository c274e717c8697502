import { MemoryReport } from './memory.js';
import { OUTCOMES, type Outcome } from './outcomes.js';

type Executor = 'cpu' | 'scripted';

/** In fewer requests than this noise is more than the slope. */
const REQUESTS_FOR_SLOPE = 50_000;

/** What the run came to; printed at its end. */
export class SoakReport {
  readonly #requestCount: number;
  readonly #counts: Record<Executor, Map<Outcome, number>> = { cpu: new Map(), scripted: new Map() };
  readonly #preemptions: Record<Executor, number> = { cpu: 0, scripted: 0 };
  readonly #memory = new MemoryReport(REQUESTS_FOR_SLOPE);
  readonly #startMs = performance.now();
  #requests = 0;

  constructor(requestCount: number) {
    this.#requestCount = requestCount;
  }

  fail(message: string): void {
    process.exitCode = 1;
    console.error(message);
  }

  addRound(executor: Executor, tally: ReadonlyMap<Outcome, number>, preemptions: number): void {
    for (const [outcome, count] of tally) {
      this.#counts[executor].set(outcome, (this.#counts[executor].get(outcome) ?? 0) + count);
      this.#requests += count;
    }
    this.#preemptions[executor] += preemptions;
    this.#memory.add(this.#requests);
  }

  print(terminations: number): void {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const executors: Executor[] = ['cpu', 'scripted'];
    const row = (name: string, values: readonly (number | string)[]): void =>
      console.log(name.padEnd(24) + values.map((value) => String(value).padStart(10)).join(''));
    row('outcome', executors);
    for (const outcome of OUTCOMES) {
      const counts = executors.map((executor) => this.#counts[executor].get(outcome) ?? 0);
      if (counts.some((count) => count > 0)) row(outcome, counts);
    }
    const total = (executor: Executor): number => [...this.#counts[executor].values()].reduce((sum, n) => sum + n, 0);
    row('all', executors.map(total));
    row(
      'preemptions',
      executors.map((executor) => this.#preemptions[executor]),
    );
    console.log(
      `${this.#requests} requests in ${seconds.toFixed(1)} s, ${(this.#requests / seconds).toFixed(0)} a second`,
    );
    console.log(`${terminations} workers ended in the middle of a round`);
    this.#memory.print((message) => this.fail(message));
    if (this.#requests < this.#requestCount) console.log(`stopped before ${this.#requestCount} requests by --seconds`);
  }
}
