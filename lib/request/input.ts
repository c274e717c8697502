import { show } from '../base/checks.js';
import { LLMError } from '../base/errors.js';
import type { ChatMessage } from '../base/types.js';
import type { RequestOptions } from '../options/generate.js';
import { isTokenId } from '../options/token-lists.js';
import type { ChatTemplateOptions } from '../text/chat-template.js';
import type { Tokenizer } from '../text/tokenizer.js';

const EXPECTED = "expected a string, { tokens } or { messages: [{ role: 'user', content: '...' }] }";

/** What of a request is tokens. */
export interface Prompt {
  tokens: Int32Array;
  /** Runs that never come: `badTokens`, and `badWords` encoded. */
  badTokens: readonly ArrayLike<number>[];
}

/**
 * The tokens of a request, copied, so that the caller may change its input at once. Text is encoded off the event loop.
 * @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_CHAT_TEMPLATE`, and what `tokenizer` throws.
 */
export function readPrompt(
  input: unknown,
  options: RequestOptions,
  tokenizer: () => Tokenizer,
): Prompt | Promise<Prompt> {
  const tokens = readInput(input, options, tokenizer);
  const { badTokens, badWords } = options;
  if (tokens instanceof Int32Array && badWords.length === 0) return { tokens, badTokens };
  // A word has one run of tokens at the start of a text and another behind a space.
  const words = badWords.flatMap((word) => [word, ` ${word}`]);
  const encodedWords = words.map((word) => tokenizer().encode(word, { addSpecialTokens: false }));
  return Promise.all([tokens, Promise.all(encodedWords)]).then(([encoded, runs]) => ({
    tokens: encoded,
    badTokens: [...badTokens, ...runs.filter((run) => run.length > 0)],
  }));
}

function readInput(
  input: unknown,
  { addSpecialTokens }: RequestOptions,
  tokenizer: () => Tokenizer,
): Int32Array | Promise<Int32Array> {
  if (typeof input === 'string') return tokenizer().encode(input, { addSpecialTokens });
  if (typeof input !== 'object' || input === null) {
    throw new LLMError('ERR_INVALID_INPUT', `The input is ${show(input)}; ${EXPECTED}.`);
  }
  const fields = Object.keys(input);
  if ('tokens' in input) {
    refuseOthers(fields, ['tokens']);
    return copyTokens(input.tokens);
  }
  if ('messages' in input) {
    refuseOthers(fields, ['messages', 'tools', 'addGenerationPrompt', 'templateVars']);
    const { messages, ...options } = input as { messages: readonly ChatMessage[] } & ChatTemplateOptions;
    return tokenizer().encodeChat(messages, options);
  }
  throw new LLMError('ERR_INVALID_INPUT', `The input is an object without tokens or messages; ${EXPECTED}.`);
}

function refuseOthers(fields: readonly string[], known: readonly string[]): void {
  const unknown = fields.find((field) => !known.includes(field));
  if (unknown === undefined) return;
  throw new LLMError(
    'ERR_INVALID_INPUT',
    `The input has the field ${show(unknown)}; expected only ${known.join(', ')}.`,
  );
}

function copyTokens(tokens: unknown): Int32Array {
  const isArrayLike = (value: unknown): value is ArrayLike<unknown> =>
    typeof value === 'object' && value !== null && 'length' in value && Number.isSafeInteger(value.length);
  if (!isArrayLike(tokens)) {
    throw new LLMError(
      'ERR_INVALID_INPUT',
      `tokens is ${show(tokens)}; expected an array of token ids, as from tokenizer.encode().`,
    );
  }
  return Int32Array.from(tokens, (token, index) => {
    if (isTokenId(token)) return token;
    const expected = 'expected a token id of the model, an integer from 0.';
    throw new LLMError('ERR_INVALID_INPUT', `tokens[${index}] is ${show(token)}; ${expected}`);
  });
}
