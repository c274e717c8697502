import { type ErrorCode, LLMError } from '../index.js';

/** What goes wrong between a client and the handler. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly details: {
      readonly type?: string | undefined;
      /** The field of the request that it is about. */
      readonly param?: string | undefined;
      readonly code?: string | undefined;
      readonly headers?: Readonly<Record<string, string>> | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
  }

  toResponse(bodyOf: (error: HttpError) => object = openAIBody): Response {
    const { status, details } = this;
    const headers = status === 500 ? { 'x-should-retry': 'false', ...details.headers } : (details.headers ?? {});
    return Response.json(bodyOf(this), { status, headers });
  }
}

/** A failure as OpenAI's clients read it. */
export function openAIBody({ status, message, details }: HttpError): object {
  const { type = TYPES[status] ?? 'invalid_request_error', param = null, code = null } = details;
  return { error: { message, type, param, code } };
}

/** A failure as Triton's clients read it. */
export const tritonBody = ({ message }: HttpError): object => ({ error: message });

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  500: 'server_error',
  503: 'server_error',
};

export const badField = (param: string, rest: string, code?: string): HttpError =>
  new HttpError(400, `${param} ${rest}`, { param, code });

export const noSuchPath = (path: string): HttpError =>
  new HttpError(404, `There is no ${path} here.`, { code: 'unknown_url' });

export const wrongMethod = (path: string, found: string, allow: string): HttpError =>
  new HttpError(405, `${path} takes ${allow}, not ${found}.`, { headers: { allow } });

const STATUS: Partial<Record<ErrorCode, number>> = {
  ERR_INVALID_OPTION: 400,
  ERR_INVALID_INPUT: 400,
  ERR_EMPTY_PROMPT: 400,
  ERR_PROMPT_TOO_LONG: 400,
  ERR_CHAT_TEMPLATE: 400,
  ERR_UNSUPPORTED: 400,
  ERR_LOGITS_LIMIT: 400,
  ERR_QUEUE_FULL: 429,
  ERR_QUEUE_TIMEOUT: 429,
  ERR_CLOSED: 503,
  ERR_ASLEEP: 503,
  ERR_OUT_OF_MEMORY: 503,
};

const UNAVAILABLE: Partial<Record<ErrorCode, string>> = {
  ERR_CLOSED: 'The server is shutting down.',
  ERR_ASLEEP: 'The model is asleep. Wake it first: POST /wake_up.',
};

const ABOUT_INPUT: ReadonlySet<ErrorCode> = new Set([
  'ERR_INVALID_INPUT',
  'ERR_EMPTY_PROMPT',
  'ERR_PROMPT_TOO_LONG',
  'ERR_CHAT_TEMPLATE',
]);

/** What a failure looks like from outside: how a request is wrong is told, how the server fails is not. */
export interface FailureContext {
  /** The field that holds the prompt. */
  readonly input?: string | undefined;
  /** The field of each option, or part of one, that has another name than the option in snake case. */
  readonly fields?: Readonly<Record<string, string>> | undefined;
  /** When to try again, in seconds. */
  retryAfter?(): number;
}

export function toHttpError(thrown: unknown, context: FailureContext = {}): HttpError {
  if (thrown instanceof HttpError) return thrown;
  const status = LLMError.is(thrown) ? (STATUS[thrown.code] ?? 500) : 500;
  if (!LLMError.is(thrown) || status === 500) {
    const code = LLMError.is(thrown) ? thrown.code : undefined;
    return new HttpError(500, 'The server failed to answer this request.', { code, cause: thrown });
  }
  const { code, option } = thrown;
  if (status === 503) {
    return new HttpError(503, UNAVAILABLE[code] ?? 'The server is out of memory.', { code, cause: thrown });
  }
  if (status === 429) {
    const seconds = String(context.retryAfter?.() ?? 1);
    const message = `Too many requests are waiting. Try again in ${seconds} s.`;
    return new HttpError(429, message, { code, headers: { 'retry-after': seconds }, cause: thrown });
  }
  const field = option === undefined ? undefined : fieldOf(option, context);
  const message = inFields(thrown, context);
  const param = field ?? (ABOUT_INPUT.has(code) ? context.input : undefined);
  if (code !== 'ERR_PROMPT_TOO_LONG') return new HttpError(400, message, { param, code, cause: thrown });
  return new HttpError(400, `${message} Please reduce the length of the ${context.input ?? 'prompt'}.`, {
    param,
    code: 'context_length_exceeded',
    cause: thrown,
  });
}

/** The message with the field in place of the option, or of its part, that it begins with. */
function inFields({ message, option }: LLMError, context: FailureContext): string {
  if (option === undefined || !message.startsWith(option)) return message;
  const [path = option] = /^[\w.]+/.exec(message) ?? [];
  const named = Object.hasOwn(context.fields ?? {}, path) ? path : option;
  return fieldOf(named, context) + message.slice(named.length);
}

const fieldOf = (option: string, { fields = {} }: FailureContext): string =>
  fields[option] ?? option.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
