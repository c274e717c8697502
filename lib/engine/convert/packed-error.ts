import { type ErrorCode, isError, LLMError } from '../../base/errors.js';

/** An error as plain data, for another thread: structured cloning would drop what tells errors apart. */
export interface PackedError {
  readonly message: string;
  readonly stack: string | undefined;
  /** Of an LLMError. */
  readonly llm: { readonly code: ErrorCode; readonly option: string | undefined } | undefined;
  /** Other fields, such as a system error's code and path. */
  readonly fields: Readonly<Record<string, string | number>>;
  readonly cause: PackedError | undefined;
}

export function packError(thrown: unknown): PackedError {
  const error = isError(thrown) ? thrown : new Error(String(thrown));
  const isPlain = (field: unknown): field is string | number => typeof field === 'string' || typeof field === 'number';
  return {
    message: error.message,
    stack: error.stack,
    llm: LLMError.is(error) ? { code: error.code, option: error.option } : undefined,
    fields: Object.fromEntries(Object.entries(error).filter(([, value]) => isPlain(value))),
    cause: error.cause === undefined ? undefined : packError(error.cause),
  };
}

export function unpackError({ message, stack, llm, fields, cause }: PackedError): Error {
  const details = cause && { cause: unpackError(cause) };
  const error = llm
    ? new LLMError(llm.code, message, { ...details, option: llm.option })
    : Object.assign(new Error(message, details), fields);
  if (stack !== undefined) error.stack = stack;
  return error;
}
