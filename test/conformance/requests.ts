import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import type { Chunk, Generation, LLM, Output, Result } from 'node-tensorrt-llm';

export const PROMPT = 'Once upon a time';
/** Likeliest tokens, and no end but maxTokens. */
export const GREEDY = { temperature: 0, ignoreEos: true } as const;
/** Runs until something ends it, or the context window is full. */
export const LONG = { ...GREEDY, maxTokens: 1_000_000 } as const;

/** The output of a request that asked for one. */
export function onlyOutput({ outputs }: Result): Output {
  const [output, ...others] = outputs;
  assert.ok(output && others.length === 0, `expected one output, got ${outputs.length}`);
  return output;
}

export const tokensOf = (result: Result): number[] => [...onlyOutput(result).tokens];

const TOLERANCE = 1e-3; // of a log-probability; the softmax may be summed in another order

/** Of what a GPU computes in 16 bits, once in one batch and once in another. */
export const TOLERANCE_BETWEEN_BATCHES = 0.03;

export function assertNear(
  found: number | undefined,
  expected: number | undefined,
  what: string,
  tolerance = TOLERANCE,
): void {
  const difference = Math.abs((found ?? Number.NaN) - (expected ?? Number.NaN));
  assert.ok(difference < tolerance, `${what} is ${found}, expected ${expected}`);
}

/** What both readers of a request got. */
export interface Ending {
  readonly chunks: Chunk[];
  /** What the iterator threw, and the result rejected with. */
  readonly thrown: unknown;
  readonly rejected: unknown;
  readonly result: Result | undefined;
}

/** Reads a request to its end both ways. `onChunk` runs in the loop; where it answers 'leave', the loop is left. */
export async function follow(generation: Generation, onChunk?: (chunk: Chunk) => unknown): Promise<Ending> {
  const chunks: Chunk[] = [];
  let thrown: unknown;
  try {
    for await (const chunk of generation) {
      chunks.push(chunk);
      if ((await onChunk?.(chunk)) === 'leave') break;
    }
  } catch (error) {
    thrown = error;
  }
  const [settled] = await Promise.allSettled([generation.result]);
  return settled.status === 'fulfilled'
    ? { chunks, thrown, rejected: undefined, result: settled.value }
    : { chunks, thrown, rejected: settled.reason, result: undefined };
}

/** The same for a request that succeeds; throws what its readers got thrown. */
export async function readWhole(
  generation: Generation,
  onChunk?: (chunk: Chunk) => unknown,
): Promise<{ chunks: Chunk[]; result: Result }> {
  const { chunks, thrown, result } = await follow(generation, onChunk);
  if (thrown !== undefined || !result) throw thrown;
  return { chunks, result };
}

export const textOf = (chunks: readonly Chunk[]): string => chunks.map(({ text }) => text).join('');

/** Reads one chunk and leaves the rest for the reader that is given back. */
export async function started(generation: Generation): Promise<AsyncIterator<Chunk>> {
  const reader = generation[Symbol.asyncIterator]();
  assert.equal((await reader.next()).done, false);
  return reader;
}

/** Waits until the executor runs nothing. */
export async function idle(llm: LLM): Promise<void> {
  let stats = llm.stats(); // one snapshot: between two a request can go from the queue to where it runs
  await until(() => {
    stats = llm.stats();
    return stats.activeRequests + stats.queuedRequests === 0;
  });
  assert.equal(stats.kvBlocksUsed, 0, 'KV blocks of no request');
}

/** A case in which it never holds runs into its time limit. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await setTimeout(1);
}
