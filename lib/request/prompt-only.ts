import { boolean, fraction, integer, MAX_COUNT, type Readers, signal, text } from '../base/checks.js';
import type { Result, Usage } from '../base/types.js';
import type { GenerateOptions } from '../options/generate.js';

/** Options of calls that have prompts computed and no output; `generate` has them too. */
export interface PromptOptions {
  /** For text input: add the special tokens that the model expects around it. Default: true. */
  addSpecialTokens?: boolean | undefined;
  /** As of `generate`. Default: 0.5. */
  priority?: number | undefined;
  /** As of `generate`. Default: none. */
  cacheSalt?: string | undefined;
  /** How long each request may wait to start, in ms; then the call fails with `ERR_QUEUE_TIMEOUT`. Default: none. */
  queueTimeoutMs?: number | undefined;
  /** Stops the work when it aborts. Default: none. */
  signal?: AbortSignal | undefined;
}

export const promptChecks = {
  addSpecialTokens: boolean(),
  priority: fraction(),
  cacheSalt: text(),
  queueTimeoutMs: integer(1, MAX_COUNT),
  signal: signal(),
} satisfies Readers<PromptOptions>;

/** What a model's generation_config.json asks for besides does not change what the prompt gives. */
export const PROMPT_ONLY: GenerateOptions = { maxTokens: 0, temperature: 0, n: 1 };

/** All of them together. */
export function sumOfUsages(results: readonly Result[]): Usage {
  const sum = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, totalTokens: 0 };
  for (const { usage } of results) for (const name of Object.keys(sum) as (keyof Usage)[]) sum[name] += usage[name];
  return sum;
}
