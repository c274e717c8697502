import { show } from './checks.js';
import { type ErrorCode, LLMError, messageOf } from './errors.js';
import { fixOf, isNotFound } from './file-errors.js';
import { openFile } from './files.js';

/** Whose JSON is read, and what a field of the wrong type throws. */
export interface JsonContext {
  readonly file: string;
  readonly code: ErrorCode;
  /** A sentence that ends each message: how to fix the file. */
  readonly fix: string;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

interface Fallback<T> {
  /** The value of an absent or null field; without it the field is required. */
  fallback?: T;
}

interface NumberRule extends Fallback<number> {
  min?: number;
  max?: number;
}

const INT32_MAX = 2 ** 31 - 1;
const FLOAT32_MAX = 2 ** 128 - 2 ** 104; // what executors take
const UNSUPPORTED_FIX = 'Use another checkpoint of the model, or another model.'; // whoever reads the file, it is in order

/** One object of a JSON file, read field by field; an absent field and null are the same. */
export class JsonFields {
  constructor(
    readonly object: JsonObject,
    readonly context: JsonContext,
    /** Names of the objects around this one, each with a dot. */
    readonly prefix = '',
  ) {}

  error(name: string, expected: string, code: ErrorCode = this.context.code): LLMError {
    const { file } = this.context;
    const fix = code === 'ERR_MODEL_UNSUPPORTED' ? UNSUPPORTED_FIX : this.context.fix;
    const value = this.object[name];
    return new LLMError(
      code,
      `${file}: ${this.prefix}${name} is ${value === undefined ? 'missing' : show(value)}; expected ${expected}. ${fix}`,
    );
  }

  has(name: string): boolean {
    return this.object[name] !== undefined && this.object[name] !== null;
  }

  /** Reads the field if it is present. */
  maybe<T>(name: string, read: (name: string) => T): T | undefined {
    return this.has(name) ? read(name) : undefined;
  }

  integer(name: string, { min = 0, max = INT32_MAX, fallback }: NumberRule = {}): number {
    const value = this.#valueOr(name, fallback);
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw this.error(name, `an integer from ${min} to ${max}`);
  }

  number(name: string, { min = -Number.MAX_VALUE, max = Number.MAX_VALUE, fallback }: NumberRule = {}): number {
    const value = this.#valueOr(name, fallback);
    if (typeof value === 'number' && value >= min && value <= max) return value;
    const range = [min > -Number.MAX_VALUE ? ` from ${min}` : '', max < Number.MAX_VALUE ? ` to ${max}` : ''].join('');
    throw this.error(name, `a number${range}`);
  }

  positive(name: string, { fallback }: Fallback<number> = {}): number {
    const value = this.#valueOr(name, fallback);
    if (typeof value === 'number' && value > 0 && value <= FLOAT32_MAX) return value;
    throw this.error(name, 'a number above 0 that fits in float32');
  }

  boolean(name: string, { fallback }: Fallback<boolean> = {}): boolean {
    const value = this.#valueOr(name, fallback);
    if (typeof value === 'boolean') return value;
    throw this.error(name, 'true or false');
  }

  string(name: string, { fallback }: Fallback<string> = {}): string {
    const value = this.#valueOr(name, fallback);
    if (typeof value === 'string') return value;
    throw this.error(name, 'a string');
  }

  /** A field that must have one of these values; another one is unsupported rather than wrong. */
  oneOf<const T extends string | number | boolean>(
    name: string,
    supported: readonly T[],
    { fallback }: Fallback<T> = {},
  ): T {
    const value = this.#valueOr(name, fallback);
    const found = supported.find((each) => each === value);
    if (found !== undefined) return found;
    const expected = supported.map((each) => JSON.stringify(each)).join(' or ');
    throw this.error(name, expected, value === undefined ? this.context.code : 'ERR_MODEL_UNSUPPORTED');
  }

  /** A list of these values, of this length. */
  listOf<const T extends string | number>(name: string, supported: readonly T[], length: number): T[] {
    const value = this.object[name];
    const found = Array.isArray(value) ? value.flatMap((each) => supported.filter((one) => one === each)) : [];
    if (Array.isArray(value) && value.length === length && found.length === length) return found;
    const each = supported.map((one) => JSON.stringify(one)).join(' or ');
    throw this.error(name, `a list of ${length} entries, each ${each}`);
  }

  /** The object in this field; an empty one if the field is absent. */
  child(name: string): JsonFields {
    const value = this.object[name] ?? {};
    if (!isJsonObject(value)) throw this.error(name, 'an object');
    return new JsonFields(value, this.context, `${this.prefix}${name}.`);
  }

  #valueOr(name: string, fallback: unknown): unknown {
    return this.has(name) ? this.object[name] : fallback;
  }
}

const MAX_NESTING = 500; // far above any of these files, and far below what ends the stack of code that recurses
/** An empty list takes 3 bytes of text and ten times as much memory. The largest tokenizer.json has two million values. */
const MAX_VALUES = 4_000_000;

/**
 * What of the text is too much to parse, if anything is. Scans it, which for a tokenizer of 128,000 tokens takes a sixth of
 * the time of walking its values.
 */
function findExcess(text: string): string | undefined {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = endOfString(text, at);
    else if (char === ',') values++;
    else if (char === ']' || char === '}') depth--;
    else if (char === '[' || char === '{') {
      values++;
      if (++depth > MAX_NESTING) return `is nested deeper than ${MAX_NESTING} levels`;
    }
  }
  return values > MAX_VALUES ? `has more than ${MAX_VALUES} values` : undefined;
}

/** Where the string ends that starts at `start`, both at their quotes; the end of the text if it does not end. */
export function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}

/**
 * JSON as Python reads and writes it: NaN becomes the string "NaN", which is no number either, so that a field that needs one says
 * so; infinities are numbers.
 */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const literals = withoutLiterals(text);
    if (literals === text) throw error;
    return JSON.parse(literals);
  }
}

/** By hand, because a regular expression for strings takes a square of the time for a text made to that end. */
function withoutLiterals(text: string): string {
  let result = '';
  let done = 0;
  const replace = (at: number, literal: string, by: string): void => {
    result += text.slice(done, at) + by;
    done = at + literal.length;
  };
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"') at = endOfString(text, at);
    else if (text.startsWith('NaN', at)) replace(at, 'NaN', '"NaN"');
    else if (text.startsWith('Infinity', at)) replace(at, 'Infinity', '1e999');
  }
  return result + text.slice(done);
}

/** Parses text that must be one JSON object. */
export function parseJsonObject(text: string, context: JsonContext): JsonFields {
  const excess = findExcess(text);
  if (excess !== undefined) throw new LLMError(context.code, `${context.file} ${excess}. ${context.fix}`);
  let value: unknown;
  try {
    value = parseJson(text.replace(/^\uFEFF/, '')); // editors on Windows put a byte order mark first
  } catch (cause) {
    throw new LLMError(context.code, `${context.file} is not valid JSON: ${messageOf(cause)}. ${context.fix}`, {
      cause,
    });
  }
  if (isJsonObject(value)) return new JsonFields(value, context);
  throw new LLMError(context.code, `${context.file} holds ${show(value)}; expected a JSON object. ${context.fix}`);
}

const MAX_BYTES = 8 << 20; // of a file of settings; far above the largest there are

/** The text of a file, or undefined if it does not exist. Its size is checked before it is read. */
export async function readTextIfThere(
  file: string,
  code: ErrorCode,
  maxBytes = MAX_BYTES,
): Promise<string | undefined> {
  try {
    const handle = await openFile(file);
    try {
      const { size } = await handle.stat();
      if (size <= maxBytes) return await handle.readFile('utf8');
      const fix = 'Check that it is the right file.';
      throw new LLMError(code, `${file} has ${size} bytes; expected at most ${maxBytes}. ${fix}`);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (LLMError.is(cause)) throw cause;
    if (isNotFound(cause)) return undefined;
    const fix = fixOf(cause, 'Check the file and its permissions.');
    throw new LLMError(code, `${file} cannot be read: ${messageOf(cause)}. ${fix}`, { cause });
  }
}

/** The object that a JSON file holds, or undefined if the file does not exist. */
export async function readJsonIfThere(context: JsonContext, maxBytes?: number): Promise<JsonFields | undefined> {
  const text = await readTextIfThere(context.file, context.code, maxBytes);
  return text === undefined ? undefined : parseJsonObject(text, context);
}
