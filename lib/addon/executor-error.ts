import { type ErrorCode, type ErrorDetails, LLMError, messageOf } from '../base/errors.js';
import { isGenerateOption } from '../options/generate.js';
import { isLoadOption } from '../options/load.js';

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

/** Executors name the fields of their contract. Those that a user does not set by the same name, in camel case: */
const OPTION_OF_FIELD: Readonly<Record<string, string>> = {
  bad_words: 'badTokens',
  bias_tokens: 'logitBias',
  bias_values: 'logitBias',
  external_draft: 'draft',
  'lora.task_id': 'lora.id',
  'guided.backend': 'guidedDecoding',
  'guided.kind': 'guided',
  max_queue_size: 'maxQueue',
  max_sequence_idle_us: 'maxSequenceIdleMs',
  'output.prompt_logprobs': 'topPromptLogprobs',
  'sampling.no_repeat_ngram': 'noRepeatNgram',
  'sampling.prompt_ignore_length': 'presencePenalty (or frequencyPenalty)',
  'sampling.sequences': 'n (or bestOf)',
  stop_words: 'stopTokens',
  tensor_parallel_size: 'tensorParallel',
  time_limit_ms: 'timeoutMs',
};

/** What a user sets a field of the contract by; undefined for what is no field, and for one that no option sets. */
export function optionOf(field: string): string | undefined {
  const known = OPTION_OF_FIELD[field];
  if (known !== undefined) return known;
  const path = field
    .replace(/^(sampling|output)\./, '') // these two groups are the request's own options
    .replace(/^external_draft\./, 'draft.')
    .replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  const [option = ''] = path.split('.');
  return isLoadOption(option) || isGenerateOption(option) ? path : undefined;
}

const CODES_OF_OPTIONS: readonly ErrorCode[] = [
  'ERR_ENGINE_RANKS',
  'ERR_INVALID_OPTION',
  'ERR_INVALID_INPUT',
  'ERR_OUT_OF_MEMORY',
  'ERR_PROMPT_TOO_LONG',
  'ERR_QUEUE_FULL',
  'ERR_UNSUPPORTED',
];

/** What an executor said, as an LLMError. */
export function fromExecutor(executorCode: number, message: string, details: ErrorDetails = {}): LLMError {
  const code = codeOf(executorCode);
  const named = CODES_OF_OPTIONS.includes(code)
    ? message.replaceAll(/(?<![\w./-])[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)?(?![\w/])/g, (field) => optionOf(field) ?? field)
    : message;
  return new LLMError(code, named, details);
}

/** What the addon threw, as an LLMError. */
export function fromNative(thrown: unknown, details: ErrorDetails = {}): LLMError {
  return thrown instanceof Error && 'executorCode' in thrown
    ? fromExecutor(Number(thrown.executorCode), thrown.message, details)
    : new LLMError('ERR_INTERNAL', messageOf(thrown), details);
}
