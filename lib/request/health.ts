import { setTimeout } from 'node:timers/promises';
import { integer, MAX_COUNT, type Readers, readOptions } from '../base/checks.js';
import { LLMError } from '../base/errors.js';
import type { FinishReason } from '../base/types.js';

/** How to check an engine. */
export interface HealthOptions {
  /** How long the executor may take, in ms. Default: 10000. */
  timeoutMs?: number | undefined;
}

const checks = { timeoutMs: integer(1, MAX_COUNT) } satisfies Readers<HealthOptions>;

const LOOK_EVERY_MS = 20;

/** @throws {LLMError} `ERR_INVALID_OPTION`. */
export const readHealthOptions = (options: HealthOptions): number =>
  readOptions(options, checks, 'health()').timeoutMs ?? 10_000;

/** What the check asks of the engine. */
export interface CheckedEngine {
  computeToken(timeoutMs: number): Promise<{ finishReason: FinishReason }>;
  steps(): number;
}

/** Computes a token. Where the queue is full, a step of the requests that run says as much. */
export async function checkHealth(engine: CheckedEngine, timeoutMs: number): Promise<void> {
  const before = engine.steps();
  const deadline = performance.now() + timeoutMs;
  try {
    const { finishReason } = await engine.computeToken(timeoutMs);
    if (finishReason === 'timeout') throw unresponsive(timeoutMs);
  } catch (error) {
    if (!LLMError.is(error) || error.code !== 'ERR_QUEUE_FULL') throw error;
    while (engine.steps() === before) {
      if (performance.now() > deadline) throw unresponsive(timeoutMs);
      await setTimeout(LOOK_EVERY_MS);
    }
  }
}

const unresponsive = (timeoutMs: number): LLMError =>
  new LLMError(
    'ERR_UNRESPONSIVE',
    `The executor computed no token within ${timeoutMs} ms; expected one. Raise timeoutMs if long prompts run, or load the engine again.`,
  );
