import type { ParseArgsConfig } from 'node:util';
import type { Quantization } from '../index.js';

type OptionValue = string | boolean | (string | boolean)[] | undefined;

export interface Arguments {
  positionals: string[];
  values: { readonly [option: string]: OptionValue };
}

/** One command of the command line. `signal` aborts at Ctrl-C, with an Interrupted. */
export interface Command {
  readonly name: string;
  readonly usage: string;
  readonly summary: string;
  readonly help: string;
  readonly options: NonNullable<ParseArgsConfig['options']>;
  run(args: Arguments, signal: AbortSignal): Promise<void>;
}

/** The arguments are wrong: said with a hint to --help. */
export class UsageError extends Error {}

/** What was printed says what failed: ends with the status of a failure and no further message. */
export class ToldFailure extends Error {}

/** Ctrl-C: ends without a message. */
export class Interrupted extends Error {}

export function text(values: Arguments['values'], name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

export function number(values: Arguments['values'], name: string): number | undefined {
  const value = text(values, name);
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (value.trim() === '' || Number.isNaN(parsed)) throw new UsageError(`--${name} is "${value}"; expected a number.`);
  return parsed;
}

export function choice<Name extends string>(
  values: Arguments['values'],
  name: string,
  choices: readonly Name[],
): Name | undefined {
  const value = text(values, name);
  const chosen = choices.find((each) => each === value);
  if (value === undefined || chosen) return chosen;
  throw new UsageError(`--${name} is "${value}"; expected ${choices.join(', ')}.`);
}

export const QUANTIZATIONS = [
  'fp8_rowwise',
  'int8_wo',
  'fp8',
  'int4_awq',
  'int4_wo',
] as const satisfies readonly Quantization[];

/** The positional arguments, which `names` names; those in brackets may be left out. */
export function positionals(args: Arguments, ...names: string[]): string[] {
  const required = names.filter((name) => !name.startsWith('['));
  const missing = required[args.positionals.length];
  if (missing) throw new UsageError(`${missing} is missing.`);
  const extra = args.positionals[names.length];
  if (extra !== undefined) throw new UsageError(`"${extra}" is one argument too many. Quote text that has spaces.`);
  return args.positionals;
}

export const printJson = (object: object): void => {
  process.stdout.write(`${JSON.stringify(object)}\n`);
};
