import { integer, type Readers, readOptions, signal } from '../base/checks.js';
import { LLMError } from '../base/errors.js';
import type { ChatMessage, Input, Result } from '../base/types.js';
import type { GenerateOptions } from '../options/generate.js';

/** How to rate a conversation. */
export interface RewardOptions {
  /** The token whose logit is the reward. Default: 0, as NVIDIA's reward models have it. */
  token?: number | undefined;
  /** Stops the work when it aborts. Default: none. */
  signal?: AbortSignal | undefined;
}

export function readRewardOptions(
  options: RewardOptions,
  vocabSize: number,
): { token: number; signal: AbortSignal | undefined } {
  const checks = { token: integer(0, vocabSize - 1), signal: signal() } satisfies Readers<RewardOptions>;
  const { token = 0, signal: given } = readOptions(options, checks, 'reward()');
  return { token, signal: given };
}

/** A request for the logits after the prompt. What else a model's generation_config.json asks for does not change them. */
export const FIRST_LOGITS: GenerateOptions = { maxTokens: 1, temperature: 0, n: 1, returnGenerationLogits: true };

/** The conversation as the reward model was trained on it: without the start of another answer. */
export function conversationInput(given: unknown): Input {
  const messages = given as readonly ChatMessage[];
  const last = Array.isArray(messages) ? messages.at(-1) : undefined;
  if (last?.role !== 'assistant') {
    throw new LLMError(
      'ERR_INVALID_INPUT',
      `The last message has the role ${JSON.stringify(last?.role)}; expected "assistant", the answer to rate.`,
    );
  }
  return { messages, addGenerationPrompt: false };
}

export function rewardOf({ outputs }: Result, token: number): number {
  const reward = outputs[0]?.generationLogits?.data[token];
  if (reward !== undefined) return reward;
  throw new LLMError(
    'ERR_EXECUTOR_FAILED',
    'The executor returned no logits; expected those after the conversation. Report it.',
  );
}
