import { createRequire } from 'node:module';
import { MALLOC_IN_USE } from '../tools/project.js';
import { OUTCOMES, type Outcome } from './outcomes.js';

type Executor = 'cpu' | 'scripted';

const MEGABYTE = 2 ** 20;
const { mallocInUse } = createRequire(import.meta.url)(MALLOC_IN_USE) as { mallocInUse(): number };
// Until the heaps of five threads have seen their fullest moment.
const WARM_UP = 0.3;
const FLAT_MB_PER_10_000 = { resident: 1.5, inUse: 0.1 };
/** In fewer requests than this noise is more than the slope. */
const REQUESTS_FOR_SLOPE = 50_000;

/** Bytes behind a round, when its engine is closed and garbage is collected. */
interface Sample {
  readonly requests: number;
  readonly resident: number;
  readonly inUse: number;
}

/** What the run came to; printed at its end. */
export class SoakReport {
  readonly #requestCount: number;
  readonly #counts: Record<Executor, Map<Outcome, number>> = { cpu: new Map(), scripted: new Map() };
  readonly #preemptions: Record<Executor, number> = { cpu: 0, scripted: 0 };
  readonly #memory: Sample[] = [];
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
    globalThis.gc?.();
    this.#memory.push({ requests: this.#requests, resident: process.memoryUsage.rss(), inUse: mallocInUse() });
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
    this.#printMemory('resident', 'resident memory');
    this.#printMemory('inUse', "malloc's memory in use");
    if (this.#requests < this.#requestCount) console.log(`stopped before ${this.#requestCount} requests by --seconds`);
  }

  #printMemory(kind: keyof typeof FLAT_MB_PER_10_000, name: string): void {
    const tenths = Array.from(
      { length: 10 },
      (_, i) => this.#memory[Math.ceil(((i + 1) / 10) * this.#memory.length) - 1],
    );
    const megabytes = tenths.map((sample) => ((sample?.[kind] ?? 0) / MEGABYTE).toFixed(1));
    console.log(`${name} at tenths of the run, MB: ${megabytes.join(' ')}`);
    const slope = this.#slope(kind);
    console.log(`its slope after the first ${WARM_UP * 100} %: ${slope.toFixed(2)} MB in 10,000 requests`);
    if (this.#requests >= REQUESTS_FOR_SLOPE && slope > FLAT_MB_PER_10_000[kind]) this.fail(`${name} grows`);
  }

  /** Of the line that fits the samples behind the warm-up best (least squares), in MB in 10,000 requests. */
  #slope(kind: keyof typeof FLAT_MB_PER_10_000): number {
    const samples = this.#memory.slice(Math.floor(this.#memory.length * WARM_UP));
    const mean = (of: (sample: Sample) => number): number =>
      samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
    const [x, y] = [mean(({ requests }) => requests), mean((sample) => sample[kind])];
    const spread = mean(({ requests }) => (requests - x) ** 2);
    const together = mean((sample) => (sample.requests - x) * (sample[kind] - y));
    return spread === 0 ? 0 : ((together / spread) * 10_000) / MEGABYTE;
  }
}
