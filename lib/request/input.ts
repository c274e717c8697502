import { invalidOption, ownItem, show } from '../base/checks.js';
import { LLMError, messageOf } from '../base/errors.js';
import type { ChatMessage } from '../base/types.js';
import type { RequestOptions } from '../options/generate.js';
import { isTokenId } from '../options/token-lists.js';
import type { ChatTemplateOptions } from '../text/chat-template.js';
import { ToolParameters } from '../text/response/argument-types.js';
import { type ResponseSettings, startOfAnswer } from '../text/response/response-parser.js';
import { type CompiledTemplate, compileTemplate, usedRegions } from '../text/response/template.js';
import { TemplateFault } from '../text/response/template-fault.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { PendingPrompt } from './submission-queue.js';

const EXPECTED = "expected a string, { tokens } or { messages: [{ role: 'user', content: '...' }] }";

/** What of a request is tokens. */
export interface Prompt {
  tokens: Int32Array;
  /** Runs that never come: `badTokens`, and `badWords` encoded. */
  badTokens: readonly ArrayLike<number>[];
}

/** How the answer to a conversation is read. */
export interface Response extends ResponseSettings {
  /** Special tokens that its marks name. */
  readonly shownTokens: Int32Array;
}

export interface ReadInput {
  readonly prompt: Prompt | PendingPrompt<Prompt>;
  /** Undefined: the text stays as it is. */
  readonly response: Response | undefined;
}

type ChatInput = { messages: readonly ChatMessage[] } & ChatTemplateOptions;

/** What a prompt is read by. */
interface PromptContext {
  readonly tokenizer: () => Tokenizer;
  /** What the executor can take, the output included; encoding a text of more may fail early. */
  readonly maxTokens: number;
}

/** In UTF-16 units: a prompt of at most so much text keeps its place among the others of that kind. */
export const SHORT_TEXT = 4096;

/**
 * The tokens of a request, copied, so that the caller may change its input at once; a text is yet to be encoded.
 * @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_PROMPT_TOO_LONG`, `ERR_CHAT_TEMPLATE`, and what `tokenizer` throws.
 */
export function readPrompt(
  input: unknown,
  options: RequestOptions,
  { tokenizer, maxTokens }: PromptContext,
): ReadInput {
  const read = readInput(input, options, { tokenizer, maxTokens });
  const { badTokens, badWords } = options;
  const response = read instanceof Int32Array ? undefined : read.response;
  if (read instanceof Int32Array && badWords.length === 0) return { prompt: { tokens: read, badTokens }, response };
  // A word has one run of tokens at the start of a text and another behind a space.
  const words = badWords.flatMap((word) => [word, ` ${word}`]);
  let size = 0;
  for (const word of words) size += word.length;
  if (!(read instanceof Int32Array)) size += read.text.length;
  const encoder = tokenizer();
  const encode = async (signal: AbortSignal | undefined): Promise<Prompt> => {
    const bounds = { signal, maxTokens: maxTokens - 1 };
    const [tokens, ...runs] = await Promise.all([
      read instanceof Int32Array
        ? read
        : encoder.encode(read.text, { addSpecialTokens: read.addSpecialTokens, ...bounds }),
      ...words.map((word) => encoder.encode(word, { addSpecialTokens: false, ...bounds })),
    ]).catch((error: unknown) => {
      if (!LLMError.is(error) || error.code !== 'ERR_PROMPT_TOO_LONG') throw error;
      const limit = `maxSeqLen is ${maxTokens}, and one new token must fit`;
      const fix = 'Shorten it, or raise maxSeqLen up to what the engine was converted for.';
      throw new LLMError(error.code, `${messageOf(error.cause)} (${limit}). ${fix}`, { cause: error });
    });
    return { tokens, badTokens: [...badTokens, ...runs.filter((run) => run.length > 0)] };
  };
  return { prompt: { encode, isShort: size <= SHORT_TEXT }, response };
}

/** A text and how it becomes tokens. */
interface PromptText {
  readonly text: string;
  readonly addSpecialTokens: boolean;
  readonly response: Response | undefined;
}

function readInput(
  input: unknown,
  { addSpecialTokens, responseTemplate }: RequestOptions,
  { tokenizer, maxTokens }: PromptContext,
): Int32Array | PromptText {
  if (typeof input === 'string') return { text: input, addSpecialTokens, response: undefined };
  if (typeof input !== 'object' || input === null) {
    throw new LLMError('ERR_INVALID_INPUT', `The input is ${show(input)}; ${EXPECTED}.`);
  }
  const fields = readable(() => Object.keys(input)); // own ones: a field of Object.prototype is no input
  if (fields.includes('tokens')) {
    refuseOthers(fields, ['tokens']);
    return readable(() => copyTokens((input as { tokens: unknown }).tokens, maxTokens));
  }
  if (fields.includes('messages')) {
    refuseOthers(fields, ['messages', 'tools', 'chatTemplate', 'addGenerationPrompt', 'templateVars']);
    const { messages, ...options } = readable(() => ({ ...(input as ChatInput) }));
    const text = tokenizer().applyChatTemplate(messages, options);
    const response = readable(() => readResponse(responseTemplate, text, { tokenizer: tokenizer(), options }));
    return { text, addSpecialTokens: false, response }; // the template has them
  }
  throw new LLMError('ERR_INVALID_INPUT', `The input is an object without tokens or messages; ${EXPECTED}.`);
}

/** Undefined if there is nothing to look for in the answer. */
function readResponse(
  given: unknown,
  prompt: string,
  { tokenizer, options }: { tokenizer: Tokenizer; options: ChatTemplateOptions },
): Response | undefined {
  if (given === false) return undefined;
  const template = given === undefined ? tokenizer.responseTemplate(options) : compileOption(given);
  const tools = options.tools ?? [];
  const hasTools = tools.length > 0;
  if (!template || !usedRegions(template, hasTools).some(({ open, close }) => open ?? close)) return undefined;
  return {
    template,
    start: startOfAnswer(template, prompt),
    tools: hasTools ? new ToolParameters(tools) : undefined,
    shownTokens: tokenizer.shownTokens(template, hasTools),
  };
}

function compileOption(given: unknown): CompiledTemplate {
  try {
    return compileTemplate(given);
  } catch (cause) {
    if (!(cause instanceof TemplateFault)) throw cause;
    const name = ['responseTemplate', cause.part].filter((part) => part !== '').join('.');
    throw invalidOption(name, `${cause.found}; expected a response template in the form of Hugging Face transformers.`);
  }
}

/** What of an input a getter, a proxy or an array that lost its memory does not let be read is the caller's error. */
function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (LLMError.is(cause)) throw cause;
    throw new LLMError('ERR_INVALID_INPUT', `The input cannot be read: ${messageOf(cause)}; ${EXPECTED}.`, { cause });
  }
}

function refuseOthers(fields: readonly string[], known: readonly string[]): void {
  const unknown = fields.find((field) => !known.includes(field));
  if (unknown === undefined) return;
  throw new LLMError(
    'ERR_INVALID_INPUT',
    `The input has the field ${show(unknown)}; expected only ${known.join(', ')}.`,
  );
}

export function copyTokens(tokens: unknown, maxTokens: number): Int32Array {
  const length = typeof tokens === 'object' && tokens !== null && 'length' in tokens ? tokens.length : undefined;
  if (!isLength(length)) {
    const found = length === undefined ? show(tokens) : `of length ${show(length)}`;
    throw new LLMError(
      'ERR_INVALID_INPUT',
      `tokens is ${found}; expected an array of token ids, as from tokenizer.encode().`,
    );
  }
  if (length > maxTokens) {
    throw new LLMError(
      'ERR_PROMPT_TOO_LONG',
      `The prompt has ${length} tokens; expected at most ${maxTokens - 1} (maxSeqLen is ${maxTokens}, and one new token must fit). Shorten it, or raise maxSeqLen up to what the engine was converted for.`,
    );
  }
  const list = tokens as ArrayLike<unknown>;
  if (ArrayBuffer.isView(list)) Int32Array.prototype.values.call(list); // throws if its memory is gone
  const copy = new Int32Array(length);
  for (let i = 0; i < length; i++) {
    const token = ownItem(list, i);
    if (!isTokenId(token)) {
      const expected = 'expected a token id of the model, an integer from 0.';
      throw new LLMError('ERR_INVALID_INPUT', `tokens[${i}] is ${show(token)}; ${expected}`);
    }
    copy[i] = token;
  }
  return copy;
}

const MAX_LENGTH = 2 ** 32 - 1; // of any array
const isLength = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_LENGTH;
