import { LLMError } from './errors.js';

/** What a value must be, in words for the error, and how to tell. */
export interface Check<T> {
  readonly expected: string;
  readonly holds: (value: unknown) => value is T;
}
export type Checks<Options> = { readonly [Name in keyof Options]-?: Check<NonNullable<Options[Name]>> };

export function check<T>(expected: string, holds: (value: unknown) => value is T): Check<T> {
  return { expected, holds };
}
/** The largest count the addon takes. */
export const MAX_COUNT = 2 ** 31 - 1;

export function number(expected: string, holds: (value: number) => boolean): Check<number> {
  const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
  return check(`a number ${expected}`, (value): value is number => isNumber(value) && holds(value));
}
export function integer(min: number, max: number): Check<number> {
  const holds = (value: unknown): value is number =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
  return check(`an integer from ${min} to ${max}`, holds);
}
export function boolean(): Check<boolean> {
  return check('a boolean', (value): value is boolean => typeof value === 'boolean');
}

export function signal(): Check<AbortSignal> {
  return check('an AbortSignal', (value): value is AbortSignal => value instanceof AbortSignal);
}
export function callback<Callback>(): Check<Callback> {
  return check('a function', (value): value is Callback => typeof value === 'function');
}
export function oneOf<Name extends string>(names: readonly Name[]): Check<Name> {
  const expected = `one of ${names.map((name) => `'${name}'`).join(', ')}`;
  return check(expected, (value): value is Name => names.some((name) => name === value));
}

/** Copies the options that are set, each checked; a name nobody knows is an error, since it is mostly a misspelled one. */
export function readOptions<Options extends object>(
  options: unknown,
  checks: Checks<Options>,
  where: string,
): Partial<Options> {
  if (options === undefined) return {};
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new LLMError('ERR_INVALID_OPTION', `The options of ${where} are ${show(options)}; expected an object.`);
  }
  const known: Readonly<Record<string, Check<unknown>>> = checks;
  const read: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    const { expected, holds } = known[name] ?? unknownOption(name, Object.keys(known), where);
    if (value === undefined) continue;
    if (!holds(value)) throw new LLMError('ERR_INVALID_OPTION', `${name} is ${show(value)}; expected ${expected}.`);
    read[name] = value;
  }
  return read as Partial<Options>;
}

function unknownOption(name: string, known: readonly string[], where: string): never {
  const near = known.find((each) => each.toLowerCase() === name.toLowerCase().replaceAll(/[_-]/g, ''));
  const mend = near ? `did you mean ${near}?` : `there are ${known.join(', ')}.`;
  throw new LLMError('ERR_INVALID_OPTION', `${where} have no option ${JSON.stringify(name)}; ${mend}`);
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? JSON.stringify(value) : 'an object';
  return String(value);
}
