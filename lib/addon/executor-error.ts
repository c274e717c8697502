import { type ErrorCode, type ErrorDetails, isError, LLMError, messageOf } from '../base/errors.js';

/** By the numbers of ExecutorCode in native/executor/types.h. */
const CODES: readonly ErrorCode[] = [
  'ERR_INTERNAL', // EXECUTOR_OK, which is no error
  'ERR_INTERNAL',
  'ERR_EXECUTOR_FAILED',
  'ERR_EXECUTOR_UNAVAILABLE',
  'ERR_ENGINE_NOT_FOUND',
  'ERR_ENGINE_CONFIG',
  'ERR_ENGINE_RANKS',
  'ERR_ENGINE_WEIGHTS',
  'ERR_MODEL_UNSUPPORTED',
  'ERR_INVALID_OPTION',
  'ERR_INVALID_INPUT',
  'ERR_EMPTY_PROMPT',
  'ERR_PROMPT_TOO_LONG',
  'ERR_UNSUPPORTED',
  'ERR_QUEUE_FULL',
  'ERR_OUT_OF_MEMORY',
  'ERR_CLOSED',
];

const codeOf = (executorCode: number): ErrorCode => CODES[executorCode] ?? 'ERR_INTERNAL';

/** What an executor said, as an LLMError. */
export const fromExecutor = (executorCode: number, message: string, details: ErrorDetails = {}): LLMError =>
  new LLMError(codeOf(executorCode), message, details);

/** What the addon threw, as an LLMError. */
export function fromNative(thrown: unknown, details: ErrorDetails = {}): LLMError {
  if (!(isError(thrown) && 'executorCode' in thrown)) {
    return new LLMError('ERR_INTERNAL', messageOf(thrown), details);
  }
  const option = 'option' in thrown ? String(thrown.option) : undefined;
  return fromExecutor(Number(thrown.executorCode), thrown.message, { ...details, option });
}
