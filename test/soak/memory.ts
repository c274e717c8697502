import { createRequire } from 'node:module';
import { MALLOC_IN_USE } from '../tools/project.js';

const MEGABYTE = 2 ** 20;
const { mallocInUse } = createRequire(import.meta.url)(MALLOC_IN_USE) as { mallocInUse(): number };
// Until the heaps of five threads have seen their fullest moment.
const WARM_UP = 0.3;
const FLAT_MB_PER_10_000 = { resident: 1.5, inUse: 0.1 };

/** Bytes behind a round, when garbage is collected. */
interface Sample {
  readonly requests: number;
  readonly resident: number;
  readonly inUse: number;
}

/** Whether memory grows with the number of requests. */
export class MemoryReport {
  readonly #samples: Sample[] = [];
  readonly #requestsForSlope: number;

  /** In fewer requests than `requestsForSlope` noise is more than the slope. */
  constructor(requestsForSlope: number) {
    this.#requestsForSlope = requestsForSlope;
  }

  /** Behind a round, when its requests have ended; `requests`: all so far. */
  add(requests: number): void {
    globalThis.gc?.();
    this.#samples.push({ requests, resident: process.memoryUsage.rss(), inUse: mallocInUse() });
  }

  print(onFailure: (message: string) => void): void {
    this.#print('resident', 'resident memory', onFailure);
    this.#print('inUse', "malloc's memory in use", onFailure);
  }

  #print(kind: keyof typeof FLAT_MB_PER_10_000, name: string, onFailure: (message: string) => void): void {
    const tenths = Array.from(
      { length: 10 },
      (_, i) => this.#samples[Math.ceil(((i + 1) / 10) * this.#samples.length) - 1],
    );
    const megabytes = tenths.map((sample) => ((sample?.[kind] ?? 0) / MEGABYTE).toFixed(1));
    console.log(`${name} at tenths of the run, MB: ${megabytes.join(' ')}`);
    const slope = this.#slope(kind);
    console.log(`its slope after the first ${WARM_UP * 100} %: ${slope.toFixed(2)} MB in 10,000 requests`);
    const requests = this.#samples.at(-1)?.requests ?? 0;
    if (requests >= this.#requestsForSlope && slope > FLAT_MB_PER_10_000[kind]) onFailure(`${name} grows`);
  }

  /** Of the line that fits the samples behind the warm-up best (least squares), in MB in 10,000 requests. */
  #slope(kind: keyof typeof FLAT_MB_PER_10_000): number {
    const samples = this.#samples.slice(Math.floor(this.#samples.length * WARM_UP));
    const mean = (of: (sample: Sample) => number): number =>
      samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
    const [x, y] = [mean(({ requests }) => requests), mean((sample) => sample[kind])];
    const spread = mean(({ requests }) => (requests - x) ** 2);
    const together = mean((sample) => (sample.requests - x) * (sample[kind] - y));
    return spread === 0 ? 0 : ((together / spread) * 10_000) / MEGABYTE;
  }
}
