import { LLMError, messageOf } from './errors.js';

/** What a value must be: in words for the error, as a test, and what it is read as. */
export interface Check<T, Read = T> {
  readonly expected: string;
  holds(value: unknown): value is T;
  /** Reads a value that holds; a copy if the caller could change it later. `name` is for errors. */
  read(value: T, name: string): Read;
}
/** A check for each option, which is read as it is given. */
export type Checks<Options> = { readonly [Name in keyof Options]-?: Check<NonNullable<Options[Name]>> };
/** A check for each option, which may be read as something else. */
export type Readers<Options> = { readonly [Name in keyof Options]-?: Check<NonNullable<Options[Name]>, unknown> };

type AnyChecks = Readonly<Record<string, Check<unknown, unknown>>>;
type GivenOf<C> = C extends Check<infer T, unknown> ? T : never;
type ReadAs<C> = C extends { read(value: never, name: string): infer Read } ? Read : never;
/** What options are read as: those that are set. */
export type ReadOf<C> = { [Name in keyof C]?: ReadAs<C[Name]> | undefined };

export function check<T>(expected: string, holds: (value: unknown) => value is T): Check<T> {
  return { expected, holds, read: (value) => value };
}
/** The same values, read as something else. */
export function readAs<T, Read>(
  { expected, holds }: Pick<Check<T>, 'expected' | 'holds'>,
  read: (value: T, name: string) => Read,
): Check<T, Read> {
  return { expected, holds, read };
}

/** The largest count the addon takes. */
export const MAX_COUNT = 2 ** 31 - 1;

export function number(expected: string, holds: (value: number) => boolean): Check<number> {
  const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
  return check(`a number ${expected}`, (value): value is number => isNumber(value) && holds(value));
}
export const fraction = (): Check<number> => number('from 0 to 1', (value) => value >= 0 && value <= 1);
export const positiveFraction = (): Check<number> =>
  number('above 0 and at most 1', (value) => value > 0 && value <= 1);
export function integer(min: number, max: number): Check<number> {
  const holds = (value: unknown): value is number =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
  return check(`an integer from ${min} to ${max}`, holds);
}
export function boolean(): Check<boolean> {
  return check('a boolean', (value): value is boolean => typeof value === 'boolean');
}
export function text(maxLength = MAX_TEXT_LENGTH): Check<string> {
  const holds = (value: unknown): value is string => typeof value === 'string' && value !== '';
  return readAs(check('a non-empty string', holds), (value, name) => boundedText(value, maxLength, name));
}

const MAX_TEXT_LENGTH = 65_536; // in UTF-16 code units

export function boundedText(value: string, max: number, name: string): string {
  if (value.length <= max) return value;
  throw invalidOption(name, `has ${value.length} characters; expected at most ${max}.`);
}

export function signal(): Check<AbortSignal> {
  return check('an AbortSignal', (value): value is AbortSignal => value instanceof AbortSignal);
}
export function callback<Callback>(): Check<Callback> {
  return check('a function', (value): value is Callback => typeof value === 'function');
}
export function oneOf<const Name extends string>(names: readonly Name[]): Check<Name> {
  const expected = `one of ${names.map((name) => `'${name}'`).join(', ')}`;
  return check(expected, (value): value is Name => names.some((name) => name === value));
}
/** One of these names, read as its place among them: an enumeration of the contract. */
export function enumerator<const Name extends string>(names: readonly Name[]): Check<Name, number> {
  return readAs(oneOf(names), (name) => names.indexOf(name));
}

const isArrayLike = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

const MAX_INTEGERS = 65_536;
const MAX_ITEMS = 1024; // of a list of anything else

/** The length of a list, read once and before anything is copied. */
export function boundedLength({ length }: ArrayLike<unknown>, max: number, name: string): number {
  if (length <= max) return length;
  throw invalidOption(name, `has ${length} items; expected at most ${max}.`);
}
/** An item of a list, or undefined for a hole, even if `Array.prototype` or `Object.prototype` has something in its place. */
export const ownItem = (list: ArrayLike<unknown>, index: number): unknown =>
  Object.hasOwn(list, index) ? list[index] : undefined;

export function integers(min: number, max: number, maxLength = MAX_INTEGERS): Check<ArrayLike<number>, Int32Array> {
  const holds = (value: unknown): value is ArrayLike<number> => isArrayLike(value) && value.length > 0;
  const item = integer(min, max);
  return readAs(check(`a non-empty array of integers from ${min} to ${max}`, holds), (values, name) => {
    const read = new Int32Array(boundedLength(values, maxLength, name));
    for (let i = 0; i < read.length; i++) {
      const value = ownItem(values, i);
      read[i] = item.holds(value) ? value : fail(`${name}[${i}]`, show(value), item);
    }
    return read;
  });
}
export function listOf<T, Read>(item: Check<T, Read>, words: string): Check<readonly T[], Read[]> {
  const holds = (value: unknown): value is readonly T[] => Array.isArray(value) && value.length > 0;
  return readAs(check(`a non-empty array of ${words}`, holds), (values, name) =>
    Array.from({ length: boundedLength(values, MAX_ITEMS, name) }, (_, i) =>
      readValue(ownItem(values, i), item, `${name}[${i}]`),
    ),
  );
}

/** Options in an object of their own, each of which may be left out; where all are, the object counts as left out. */
export function group<C extends AnyChecks>(
  checks: C,
): Check<{ [Name in keyof C]?: GivenOf<C[Name]> | undefined }, ReadOf<C> | undefined> {
  return readAs(object(checks), (value, name) => {
    const read = readFields(value, checks, `${name}.`, name);
    return Object.keys(read).length > 0 ? read : undefined;
  });
}
/** Values that belong together, in an object of their own. Those of `optional` may be left out. */
export function record<C extends AnyChecks, O extends AnyChecks = Record<never, never>>(
  needed: C,
  optional: O = {} as O,
): Check<
  { [Name in keyof C]: GivenOf<C[Name]> } & { [Name in keyof O]?: GivenOf<O[Name]> | undefined },
  { [Name in keyof C]: ReadAs<C[Name]> } & ReadOf<O>
> {
  const checks: AnyChecks = { ...needed, ...optional };
  return readAs(object(checks), (value, name) => {
    const read: Record<string, unknown> = readFields(value, checks, `${name}.`, name);
    for (const field of Object.keys(needed)) {
      if (read[field] === undefined) fail(`${name}.${field}`, 'missing', checks[field] as Check<unknown, unknown>);
    }
    return read as { [Name in keyof C]: ReadAs<C[Name]> } & ReadOf<O>;
  });
}

/** Copies the options that are set, each checked; an unknown name is an error, because it is usually misspelled. */
export function readOptions<C extends AnyChecks>(options: unknown, checks: C, where: string): ReadOf<C> {
  if (options === undefined || options === null) return Object.create(null);
  try {
    if (isObject(options)) return readFields(options, checks, '', where);
  } catch (cause) {
    if (LLMError.is(cause)) throw cause; // else a getter or a proxy threw
    const message = `The options of ${where} cannot be read: ${messageOf(cause)}; expected plain values.`;
    throw new LLMError('ERR_INVALID_OPTION', message, { cause });
  }
  throw new LLMError('ERR_INVALID_OPTION', `The options of ${where} are ${show(options)}; expected an object.`);
}

function readFields<C extends AnyChecks>(options: object, checks: C, prefix: string, where: string): ReadOf<C> {
  const known: AnyChecks = checks;
  const read: Record<string, unknown> = Object.create(null); // what is not set stays so, whatever Object.prototype has
  for (const name of Object.keys(options)) {
    const check = Object.hasOwn(known, name) ? known[name] : undefined;
    if (!check) throw unknownOption(name, Object.keys(known), where);
    const value = (options as Readonly<Record<string, unknown>>)[name];
    if (value === undefined || value === null) continue; // OpenAI's clients send null for what is left out
    const readHere = readValue(value, check, prefix + name);
    if (readHere !== undefined) read[name] = readHere;
  }
  return read as ReadOf<C>;
}

function readValue<T, Read>(value: unknown, check: Check<T, Read>, name: string): Read {
  return check.holds(value) ? check.read(value, name) : fail(name, show(value), check);
}

export function fail(name: string, found: string, { expected }: { readonly expected: string }): never {
  throw invalidOption(name, `is ${found}; expected ${expected}.`);
}

/** About an option, whose name begins the message. An item of a list, `stop[1]`, is the list's. */
export const invalidOption = (name: string, rest: string): LLMError =>
  new LLMError('ERR_INVALID_OPTION', `${name} ${rest}`, { option: name.replace(/\[.*/, '') });

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const object = <T extends object>(checks: AnyChecks): Check<T> =>
  check(`an object with ${Object.keys(checks).join(', ')}`, (value): value is T => isObject(value));

function unknownOption(name: string, known: readonly string[], where: string): LLMError {
  const near = known.find((each) => each.toLowerCase() === name.toLowerCase().replaceAll(/[_-]/g, ''));
  const rest = near ? `. Did you mean ${near}?` : `; expected one of ${known.join(', ')}.`;
  return new LLMError('ERR_INVALID_OPTION', `Unknown option ${show(name)} of ${where}${rest}`);
}

const MAX_SHOWN = 80;

/** A bad value as a message prints it: on one line, cut if it is long. */
export function show(value: unknown): string {
  let text: string;
  try {
    text = showWhole(value, 0);
  } catch {
    text = 'a value that cannot be read'; // a proxy
  }
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 3)}...` : text;
}

function showWhole(value: unknown, depth: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, MAX_SHOWN));
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) {
    if (depth === 2) return 'an array';
    return `[${value
      .slice(0, MAX_SHOWN / 2)
      .map((each) => showWhole(each, depth + 1))
      .join(', ')}]`;
  }
  if (value instanceof URL) return value.href;
  return isObject(value) ? 'an object' : String(value);
}
