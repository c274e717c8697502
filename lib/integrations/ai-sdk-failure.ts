import { LLMError } from '../index.js';

/** The mark by which the AI SDK knows the errors that say whether to try again; it has it without its package. */
const API_CALL_ERROR = Symbol.for('vercel.ai.error.AI_APICallError');

export function failed(thrown: unknown): never {
  if (LLMError.is(thrown) && (thrown.code === 'ERR_QUEUE_FULL' || thrown.code === 'ERR_QUEUE_TIMEOUT')) {
    Object.assign(thrown, { [API_CALL_ERROR]: true, isRetryable: true });
  }
  throw thrown;
}
