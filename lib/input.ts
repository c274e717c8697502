import { LLMError } from './errors.js';
import type { RequestOptions } from './options.js';
import type { ChatTemplateOptions } from './text/chat-template.js';
import type { Tokenizer } from './text/tokenizer.js';
import type { ChatMessage } from './types.js';

const EXPECTED = "expected a string, { tokens } or { messages: [{ role: 'user', content: '...' }] }";

/**
 * The tokens of an input, copied, so that the caller may change it at once. Text and messages are encoded off the event loop.
 * @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_CHAT_TEMPLATE`, and what `tokenizer` throws.
 */
export function readInput(
  input: unknown,
  { addSpecialTokens }: RequestOptions,
  tokenizer: () => Tokenizer,
): Int32Array | Promise<Int32Array> {
  if (typeof input === 'string') return tokenizer().encode(input, { addSpecialTokens });
  if (typeof input !== 'object' || input === null) {
    throw new LLMError(
      'ERR_INVALID_INPUT',
      `The input is ${input === null ? 'null' : `of type ${typeof input}`}; ${EXPECTED}.`,
    );
  }
  if ('tokens' in input) return copyTokens(input.tokens);
  if ('messages' in input) {
    const { messages, ...options } = input as { messages: readonly ChatMessage[] } & ChatTemplateOptions;
    return tokenizer().encodeChat(messages, options);
  }
  throw new LLMError('ERR_INVALID_INPUT', `The input has neither tokens nor messages; ${EXPECTED}.`);
}

function copyTokens(tokens: unknown): Int32Array {
  const isArrayLike = (value: unknown): value is ArrayLike<unknown> =>
    typeof value === 'object' && value !== null && 'length' in value && Number.isSafeInteger(value.length);
  if (!isArrayLike(tokens)) {
    throw new LLMError('ERR_INVALID_INPUT', 'tokens is no array; expected token ids, as tokenizer.encode() gives.');
  }
  return Int32Array.from(tokens, (token, index) => {
    if (Number.isInteger(token)) return Number(token);
    throw new LLMError('ERR_INVALID_INPUT', `tokens[${index}] is ${String(token)}; expected an integer.`);
  });
}
