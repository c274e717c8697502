import type { ChatTemplateLimits } from '../base/chat-template-limits.js';
import { LLMError, messageOf } from '../base/errors.js';
import type { ChatMessage, Tool } from '../base/types.js';
import { wantsParts } from './content-parts.js';
import type { Statement } from './jinja/ast.js';
import { Costs } from './jinja/costs.js';
import { globals } from './jinja/globals.js';
import { Interpreter } from './jinja/interpreter.js';
import { parse } from './jinja/parser.js';
import { Parts, TemplateError, type Value, WrittenDict } from './jinja/values.js';
import { knownTemplate } from './response/known-templates.js';
import { type CompiledTemplate, compileTemplate } from './response/template.js';
import { strftime } from './strftime.js';
import { invalid, TemplateInput } from './template-input.js';
import { TemplateMeter } from './template-meter.js';

/** What the chat template gets besides the messages. */
export interface ChatTemplateOptions {
  /** Functions the model may call. Default: none. */
  tools?: readonly Tool[] | undefined;
  /** Name of one of the model's chat templates. Default: with `tools` `'tool_use'`, if there is one, else `'default'`. */
  chatTemplate?: string | undefined;
  /** End the text with the start of the assistant's turn. Default: true. */
  addGenerationPrompt?: boolean | undefined;
  /** More variables for the template; they replace the model's and this package's of the same name. Default: none. */
  templateVars?: Readonly<Record<string, unknown>> | undefined;
}

const MAX_SOURCE_LENGTH = 256 * 1024; // in UTF-16 units; the longest known is a sixth of it
const MAX_MESSAGE_LENGTH = 1000; // of what a template raises

interface Program {
  readonly body: readonly Statement[];
  readonly wantsParts: boolean;
}

/** A model's chat template (Jinja), with the variables and functions that Hugging Face transformers gives it. */
export class ChatTemplate {
  #parsed: Program | LLMError | undefined;
  #response: { readonly template: CompiledTemplate | undefined } | undefined;

  constructor(
    readonly source: string,
    readonly specialTokens: Readonly<Record<string, string>>,
    readonly limits: ChatTemplateLimits = {},
  ) {}

  /** At first use: a model whose template is broken still takes text and tokens. */
  get #program(): Program {
    this.#parsed ??= parseOnce(this.source);
    if (LLMError.is(this.#parsed)) throw this.#parsed;
    return this.#parsed;
  }

  /** Whether it takes the parts of a message's content as a list; else they must be text, and are joined. */
  get wantsParts(): boolean {
    return this.#program.wantsParts;
  }

  /** How answers to what it gives are read; undefined if it has no marks that are known. */
  get response(): CompiledTemplate | undefined {
    const known = this.#response ? undefined : knownTemplate(this.source);
    this.#response ??= { template: known && compileTemplate(known) };
    return this.#response.template;
  }

  /**
   * @throws {LLMError} `ERR_INVALID_INPUT` naming the field of `messages` that is wrong;
   * `ERR_CHAT_TEMPLATE` with the template's own words where it refuses the messages, and where it exceeds its limits.
   */
  render(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
    const costs = new Costs(new TemplateMeter(this.limits));
    const variables = this.#variables(messages, options, costs);
    try {
      return new Interpreter(costs).render(this.#program.body, variables);
    } catch (cause) {
      throw failed(cause);
    }
  }

  #variables(messages: readonly ChatMessage[], options: ChatTemplateOptions, costs: Costs): Map<string, Value> {
    try {
      return readVariables(messages, options, { costs, specialTokens: this.specialTokens, template: this });
    } catch (cause) {
      if (LLMError.is(cause)) throw cause;
      throw invalid('The input', `cannot be read: ${messageOf(cause)}`, 'plain data', cause);
    }
  }
}

function parseOnce(source: string): Program | LLMError {
  try {
    if (source.length > MAX_SOURCE_LENGTH) {
      throw new TemplateError(`it has ${source.length} characters; expected at most ${MAX_SOURCE_LENGTH}`);
    }
    const body = parse(source);
    return { body, wantsParts: wantsParts(body) };
  } catch (cause) {
    return failed(cause);
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

interface RenderContext {
  readonly costs: Costs;
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly template: ChatTemplate;
}

/** The variables of the template: what the caller gave, read once and copied. */
function readVariables(
  messages: unknown,
  { tools, addGenerationPrompt, templateVars }: ChatTemplateOptions,
  { costs, specialTokens, template }: RenderContext,
): Map<string, Value> {
  if (!Array.isArray(messages)) throw invalid('messages', `is ${show(messages)}`, 'an array of { role, content }');
  if (messages.length === 0) throw invalid('messages', 'is empty', 'at least one { role, content }');
  if (!Array.isArray(tools ?? [])) throw invalid('tools', `is ${show(tools)}`, 'an array of tools');
  if (typeof (templateVars ?? {}) !== 'object') {
    throw invalid('templateVars', `is ${show(templateVars)}`, 'an object');
  }
  const input = new TemplateInput(costs.meter);
  return new Map<string, Value>([
    ...globals(costs),
    ['strftime_now', input.callable((format) => strftimeNow(String(format), costs), 'strftime_now')],
    ['raise_exception', input.callable(raise, 'raise_exception')],
    ...input.readFields(specialTokens, 'special tokens'),
    ['messages', input.readList(messages, (message, i) => readMessage(input, message, `messages[${i}]`, template))],
    ['tools', input.read(tools ?? null, 'tools')],
    ['documents', null],
    ['add_generation_prompt', input.read(addGenerationPrompt ?? true, 'addGenerationPrompt')],
    ...input.readFields(templateVars ?? {}, 'templateVars'),
  ]);
}

function readMessage(input: TemplateInput, message: unknown, name: string, template: ChatTemplate): Value {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw invalid(name, `is ${show(message)}`, 'an object { role, content }');
  }
  const fields = input.readFields(message, name);
  const role = fields.get('role');
  if (typeof role !== 'string') throw invalid(`${name}.role`, `is ${show(role)}`, "a string such as 'user'");
  const content = fields.get('content');
  const isMissing = content === undefined && fields.size > 1; // an assistant's tool calls need no content
  if (!isMissing && typeof content !== 'string' && content !== null && !Array.isArray(content)) {
    throw invalid(`${name}.content`, `is ${show(content)}`, 'a string, an array of parts, or null');
  }
  if (Array.isArray(content)) {
    const join = (): string => joinParts(content, `${name}.content`);
    fields.set('content', template.wantsParts ? new Parts(content, join) : join());
  }
  const calls = fields.get('tool_calls');
  if (Array.isArray(calls)) for (const call of calls) readArguments(input, call);
  return withReasoning(fields) as Map<Value, Value>;
}

/**
 * Arguments of a call that come as JSON text, as OpenAI's clients send them. Most templates take an object, which is all that
 * transformers is given; some add the text to theirs, and so have it as it was written.
 */
function readArguments(input: TemplateInput, call: Value): void {
  const called = call instanceof Map ? (call.get('function') ?? call) : undefined;
  const text = called instanceof Map ? called.get('arguments') : undefined;
  if (!(called instanceof Map) || typeof text !== 'string') return;
  input.meter.charge(text.length / STEPS_OF_JSON);
  const value = input.read(parseOrNull(text), 'arguments');
  if (value instanceof Map) called.set('arguments', new WrittenDict(value, text));
}

const STEPS_OF_JSON = 16; // characters read in the time of a step

/** What a model wrote need not be JSON. */
function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The parts as one text, as llama.cpp and vLLM have it: a line each. */
function joinParts(parts: readonly Value[], name: string): string {
  const texts = parts.map((part, i) => {
    const type = part instanceof Map ? part.get('type') : undefined;
    const text = part instanceof Map ? part.get('text') : undefined;
    if (type === 'text' && typeof text === 'string') return text;
    const found =
      type === 'text'
        ? 'has no text'
        : typeof type === 'string'
          ? `has the type ${JSON.stringify(type.slice(0, 100))}`
          : `is ${show(part)}`;
    const expected = "{ type: 'text', text: '...' }, because this model's chat template takes only text";
    throw invalid(`${name}[${i}]`, found, expected);
  });
  return texts.join('\n');
}

const REASONING = ['reasoning_content', 'thinking', 'reasoning'];

/** Reasoning goes by several names; as in transformers, a template finds it by the one it reads. */
function withReasoning(fields: Map<string, Value>): Map<string, Value> {
  const reasoning = REASONING.map((name) => fields.get(name)).find((value) => value !== undefined && value !== null);
  if (reasoning === undefined) return fields;
  return new Map([['thinking', reasoning], ...fields, ['reasoning_content', reasoning]]);
}

function strftimeNow(format: string, { meter }: Costs): string {
  meter.charge(format.length);
  return strftime(new Date(), format);
}

function raise(message: unknown): never {
  throw new TemplateError(String(message));
}
