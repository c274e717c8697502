import type { Result } from './types.js';

/**
 * Every code an {@link LLMError} can carry, with what it means. A code keeps its meaning for good.
 * The order is that of a request's life: set-up, load, request, close.
 */
export const ERROR_CODES = {
  ERR_PLATFORM_UNSUPPORTED: 'There is no build of the addon for this platform.',
  ERR_ADDON_LOAD: 'The native addon could not be loaded.',
  ERR_EXECUTOR_UNAVAILABLE: 'The executor asked for is not installed, or cannot run on this machine.',
  ERR_SOURCE_NOT_FOUND: 'The checkpoint to convert, or the model to fetch, was not found.',
  ERR_SOURCE_INVALID: 'A file of the source checkpoint is damaged or contradicts another.',
  ERR_DOWNLOAD: 'A model could not be fetched, or what came is not what was asked for.',
  ERR_OUTPUT: 'The output directory cannot be written, or holds something else.',
  ERR_ENGINE_NOT_FOUND: 'The engine directory does not exist, cannot be read, or is no engine.',
  ERR_ENGINE_CONFIG: 'config.json of the engine or the checkpoint is missing, damaged, or lacks a field.',
  ERR_ENGINE_RANKS: 'The rank files do not fit the parallel sizes in config.json.',
  ERR_ENGINE_WEIGHTS: 'A weights file is damaged, or lacks a tensor, or holds one of the wrong shape or type.',
  ERR_MODEL_UNSUPPORTED: 'The architecture, data type or a feature of the model is not supported by this executor.',
  ERR_TOKENIZER_MISSING: 'The engine has no tokenizer, so it takes and gives tokens only.',
  ERR_TOKENIZER_INVALID: 'The tokenizer cannot be read, or does not fit the model.',
  ERR_CHAT_TEMPLATE: 'The engine has no chat template, or the template refused the messages.',
  ERR_INVALID_OPTION: 'An option has the wrong type or is out of its range, or there is no option of that name.',
  ERR_INVALID_INPUT: 'The input is neither text, nor tokens of this model, nor chat messages.',
  ERR_EMPTY_PROMPT: 'The prompt has no tokens.',
  ERR_PROMPT_TOO_LONG: 'No new token fits behind the prompt.',
  ERR_UNSUPPORTED: 'This executor lacks what the request asks for; llm.capabilities says what it has.',
  ERR_QUEUE_FULL: 'As many requests wait as the queue holds.',
  ERR_QUEUE_TIMEOUT: 'The request had not started when `queueTimeoutMs` had passed.',
  ERR_OUT_OF_MEMORY: 'Memory for the weights, the KV cache or the request could not be had.',
  ERR_ALREADY_READ: 'A Generation has one consumer, and this one has been iterated before.',
  ERR_READ_PENDING: 'next() was called before the last one settled.',
  ERR_CLOSED: 'The LLM is closed, or was closed before the request ended.',
  ERR_EXECUTOR_FAILED: 'The executor failed and runs no more requests.',
  ERR_INTERNAL: 'A bug in this package or in the executor; please report it.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorDetails {
  requestId?: number | undefined;
  partial?: Result | undefined;
  cause?: unknown;
}

const BRAND = Symbol.for('node-tensorrt-llm.LLMError');

/** What everything in this package throws or rejects with, but for an abort, which gives the signal's own reason. */
export class LLMError extends Error {
  override readonly name = 'LLMError';
  readonly code: ErrorCode;
  /** The request that failed; undefined for what concerns no single request. */
  readonly requestId: number | undefined;
  /** What the request had produced when it failed. */
  readonly partial: Result | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.requestId = details.requestId;
    this.partial = details.partial;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** Tells an LLMError from any other value, also where two copies of this package are installed. */
  static is(value: unknown): value is LLMError {
    return typeof value === 'object' && value !== null && BRAND in value;
  }
}

/** The text of whatever was thrown, for use inside another message. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
