import type { FinishReason, Usage } from '../index.js';
import type { ServedModel } from './models.js';

export type FinishName = 'stop' | 'length' | 'tool_calls';

/** `'cancelled'` reaches no client; of a `'timeout'` the text is as incomplete as of `'length'`, and so may be the last call. */
export const finishName = (reason: FinishReason, hasCalls = false): FinishName =>
  reason !== 'stop' ? 'length' : hasCalls ? 'tool_calls' : 'stop';

export const usageOf = ({ promptTokens, cachedTokens, completionTokens, totalTokens }: Usage): object => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: totalTokens,
  prompt_tokens_details: { cached_tokens: cachedTokens },
});

export function addUsages(usages: readonly Usage[]): Usage {
  const sum = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, totalTokens: 0 };
  for (const usage of usages) {
    for (const name of Object.keys(sum) as (keyof Usage)[]) sum[name] += usage[name];
  }
  return sum;
}

/** The fields that all objects of one answer begin with. */
export const answerHead = (prefix: string, object: string, { name }: ServedModel) => ({
  id: `${prefix}-${crypto.randomUUID()}`,
  object,
  created: Math.floor(Date.now() / 1000),
  model: name,
});

/** The fields that all answers in Triton's protocol begin with. */
export const tritonHead = ({ name }: ServedModel, id: string | undefined) => ({
  ...(id !== undefined && { id }),
  model_name: name,
  model_version: '1',
});

const LEAST_LOGPROB = -9999;

/** JSON has no infinity. */
export const finite = (logprob: number): number => Math.max(logprob, LEAST_LOGPROB);
