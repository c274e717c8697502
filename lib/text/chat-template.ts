import { Environment, parse, tokenize } from '@huggingface/jinja';
import type { ChatTemplateLimits } from '../base/chat-template-limits.js';
import { LLMError, messageOf } from '../base/errors.js';
import type { ChatMessage, Tool } from '../base/types.js';
import { BoundedInterpreter } from './bounded-interpreter.js';
import { strftime } from './strftime.js';
import { TemplateMeter } from './template-meter.js';
import { invalid, TemplateInput, type Value } from './template-values.js';

/** What the chat template gets besides the messages. */
export interface ChatTemplateOptions {
  /** Functions the model may call. Default: none. */
  tools?: readonly Tool[] | undefined;
  /** End the text with the start of the assistant's turn. Default: true. */
  addGenerationPrompt?: boolean | undefined;
  /** More variables for the template; they replace the model's and this package's of the same name. Default: none. */
  templateVars?: Readonly<Record<string, unknown>> | undefined;
}

const MAX_SOURCE_LENGTH = 256 * 1024; // in UTF-16 units; the longest known is a sixth of it
/** In squares of the lengths of runs of whitespace, each of which the library searches from each of its characters. */
const MAX_WHITESPACE = 2 ** 25;
const MAX_MESSAGE_LENGTH = 1000; // of what a template raises
const MAX_RANGE = 100_000; // that of transformers

/** A model's chat template (Jinja), with the variables and functions that Hugging Face transformers gives it. */
export class ChatTemplate {
  #parsed: { readonly program: ReturnType<typeof parse> } | { readonly error: LLMError } | undefined;

  constructor(
    readonly source: string,
    readonly specialTokens: Readonly<Record<string, string>>,
    readonly limits: ChatTemplateLimits = {},
  ) {}

  /**
   * @throws {LLMError} `ERR_INVALID_INPUT` naming the field of `messages` that is wrong;
   * `ERR_CHAT_TEMPLATE` with the template's own words where it refuses the messages, and where it exceeds its limits.
   */
  render(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
    // At first use: a model whose template is broken still takes text and tokens.
    this.#parsed ??= parseOnce(this.source);
    const meter = new TemplateMeter(this.limits);
    let scope: Environment;
    try {
      scope = readScope(messages, options, this.specialTokens, meter);
    } catch (cause) {
      if (LLMError.is(cause)) throw cause;
      throw invalid('The input', `cannot be read: ${messageOf(cause)}`, 'plain data', cause);
    }
    if ('error' in this.#parsed) throw this.#parsed.error;
    try {
      return String(new BoundedInterpreter(scope, meter).run(this.#parsed.program).value);
    } catch (cause) {
      throw failed(cause);
    }
  }
}

function parseOnce(source: string): { program: ReturnType<typeof parse> } | { error: LLMError } {
  try {
    if (source.length > MAX_SOURCE_LENGTH) {
      throw new Error(`it has ${source.length} characters; expected at most ${MAX_SOURCE_LENGTH}`);
    }
    let whitespace = 0;
    for (const [run] of source.matchAll(/\s+/g)) whitespace += run.length ** 2;
    if (whitespace > MAX_WHITESPACE)
      throw new Error('it has too much whitespace in a row; expected a few blanks or lines');
    return { program: parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })) };
  } catch (cause) {
    return { error: failed(cause) };
  }
}

function failed(cause: unknown): LLMError {
  if (LLMError.is(cause)) return cause;
  const found =
    cause instanceof RangeError
      ? `it is nested too deeply (${cause.message})`
      : messageOf(cause).slice(0, MAX_MESSAGE_LENGTH);
  return new LLMError('ERR_CHAT_TEMPLATE', `The chat template failed: ${found}`, { cause });
}

const show = (value: unknown): string =>
  value === undefined ? 'missing' : value === null ? 'null' : `of type ${typeof value}`;

/** The variables of the template: what the caller gave, read once and copied. */
function readScope(
  messages: unknown,
  { tools, addGenerationPrompt = true, templateVars = {} }: ChatTemplateOptions,
  specialTokens: Readonly<Record<string, string>>,
  meter: TemplateMeter,
): Environment {
  if (!Array.isArray(messages)) throw invalid('messages', `is ${show(messages)}`, 'an array of { role, content }');
  if (messages.length === 0) throw invalid('messages', 'is empty', 'at least one { role, content }');
  if (tools !== undefined && !Array.isArray(tools)) throw invalid('tools', `is ${show(tools)}`, 'an array of tools');
  if (typeof templateVars !== 'object' || templateVars === null) {
    throw invalid('templateVars', `is ${show(templateVars)}`, 'an object');
  }
  const input = new TemplateInput(meter);
  const variables: [name: string, value: Value][] = [
    ...input.readFields(CONSTANTS, 'constants'),
    ...input.readFields(specialTokens, 'special tokens'),
    ['messages', input.readList(messages, (message, i) => readMessage(input, message, `messages[${i}]`))],
    ['tools', input.read(tools ?? null, 'tools')],
    ['documents', input.read(null, 'documents')],
    ['add_generation_prompt', input.read(addGenerationPrompt, 'addGenerationPrompt')],
    ['range', input.callable(range, 'range')],
    ['strftime_now', input.callable((format) => strftimeNow(String(format), meter), 'strftime_now')],
    ['raise_exception', input.callable(raise, 'raise_exception')],
    ...input.readFields(templateVars, 'templateVars'),
  ];
  const scope = new Environment();
  for (const [name, value] of variables) scope.setVariable(name, value as never);
  return scope;
}

const CONSTANTS = { true: true, True: true, false: false, False: false, none: null, None: null };

function readMessage(input: TemplateInput, message: unknown, name: string): Value {
  if (typeof message !== 'object' || message === null) {
    throw invalid(name, `is ${show(message)}`, 'an object { role, content }');
  }
  const value = input.read(message, name);
  const fieldOf = (field: string): unknown =>
    value.value instanceof Map ? (value.value as ReadonlyMap<string, Value>).get(field)?.value : undefined;
  const role = fieldOf('role');
  if (typeof role !== 'string') throw invalid(`${name}.role`, `is ${show(role)}`, "a string such as 'user'");
  const content = fieldOf('content');
  if (typeof content !== 'string' && content !== null && !Array.isArray(content)) {
    throw invalid(`${name}.content`, `is ${show(content)}`, 'a string, an array of parts, or null');
  }
  return value;
}

/** Python's range(), of as many numbers as transformers allows. */
function range(...args: readonly unknown[]): number[] {
  if (!args.every((arg) => typeof arg === 'number')) throw new Error('range() takes numbers');
  const [first = 0, second, step = 1] = args as number[];
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw new Error('range() step must not be zero');
  const numbers: number[] = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (numbers.length === MAX_RANGE) throw new Error(`range() makes more than ${MAX_RANGE} numbers`);
    numbers.push(i);
  }
  return numbers;
}

function strftimeNow(format: string, meter: TemplateMeter): string {
  meter.charge(format.length);
  return strftime(new Date(), format);
}

function raise(message: unknown): never {
  throw new Error(message as string);
}
