import { createRequire } from 'node:module';
import type { Tokenizer as Encoder } from 'tokenizers';
import type { ChatTemplateLimits } from '../base/chat-template-limits.js';
import { show } from '../base/checks.js';
import { LLMError, messageOf } from '../base/errors.js';
import { readText, readTextNow } from '../base/files.js';
import type { ChatMessage } from '../base/types.js';
import { type ByteTable, buildByteTable } from './byte-table.js';
import { ChatTemplate, type ChatTemplateOptions } from './chat-template.js';
import { parseTokenizerJson } from './tokenizer-json.js';

export interface TokenizerOptions {
  /** Path of `tokenizer.json`. */
  tokenizerPath: string;
  /** The template's text. Default: none, and messages are refused. */
  chatTemplate?: string | undefined;
  /** Given to the chat template as `bos_token`. */
  bosToken?: string | undefined;
  /** Given to the chat template as `eos_token`. */
  eosToken?: string | undefined;
  /** What the chat template may use. */
  chatTemplateLimits?: ChatTemplateLimits | undefined;
}

/** How text becomes tokens. */
export interface EncodeOptions {
  /** Add the special tokens that the model expects around the text, usually one at the start. Default: true. */
  addSpecialTokens?: boolean | undefined;
}

/** How tokens become text. */
export interface DecodeOptions {
  /** Leave special tokens, such as role markers, out of the text. Default: true. */
  skipSpecialTokens?: boolean | undefined;
}

/** A model's tokenizer and chat template. */
export class Tokenizer {
  readonly #encoder: Encoder;
  readonly #chatTemplate: ChatTemplate | undefined;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true }); // true keeps a U+FEFF that comes first
  /** Internal: what the addon makes text from. */
  readonly byteTable: ByteTable;

  private constructor(encoder: Encoder, byteTable: ByteTable, chatTemplate: ChatTemplate | undefined) {
    this.#encoder = encoder;
    this.byteTable = byteTable;
    this.#chatTemplate = chatTemplate;
  }

  /**
   * Blocks the event loop while the vocabulary is parsed: half a second for 128,000 tokens, two thirds of it in the
   * `tokenizers` package, which has no asynchronous load.
   * @throws {LLMError} `ERR_TOKENIZER_INVALID` naming the file; `ERR_PLATFORM_UNSUPPORTED` where `tokenizers` has no build.
   */
  static async load(options: TokenizerOptions): Promise<Tokenizer> {
    const text = await readText(options.tokenizerPath).catch((cause: unknown) => {
      throw unreadable(options.tokenizerPath, cause);
    });
    return Tokenizer.#parse(text, options);
  }

  /** Internal: the same, with the file read at once too. */
  static loadNow(options: TokenizerOptions): Tokenizer {
    let text: string;
    try {
      text = readTextNow(options.tokenizerPath);
    } catch (cause) {
      throw unreadable(options.tokenizerPath, cause);
    }
    return Tokenizer.#parse(text, options);
  }

  static #parse(text: string, options: TokenizerOptions): Tokenizer {
    const { tokenizerPath, chatTemplate, bosToken, eosToken, chatTemplateLimits } = options;
    const vocabulary = parseTokenizerJson(text, tokenizerPath);
    const byteTable = buildByteTable(vocabulary, tokenizerPath);
    const encoder = createEncoder(text, tokenizerPath);
    for (const { id, content } of vocabulary.addedTokens) {
      const encoded = encoder.tokenToId(content);
      if (encoded === id) continue;
      throw new LLMError(
        'ERR_TOKENIZER_INVALID',
        `added_tokens in ${tokenizerPath} gives ${JSON.stringify(content)} the id ${id}, but it is encoded as ${encoded}: ` +
          'added tokens must have the ids of their names in the vocabulary, or follow it without gaps.',
      );
    }
    const specialTokens = {
      ...(bosToken === undefined ? {} : { bos_token: bosToken }),
      ...(eosToken === undefined ? {} : { eos_token: eosToken }),
    };
    const template =
      chatTemplate === undefined ? undefined : new ChatTemplate(chatTemplate, specialTokens, chatTemplateLimits);
    return new Tokenizer(encoder, byteTable, template);
  }

  /** All ids are below this. The model's own vocabulary can be larger, padded with ids that have no text. */
  get vocabSize(): number {
    return this.byteTable.special.length;
  }

  /**
   * Encodes on libuv's thread pool. Encodings that run at the same time can end in any order.
   * A lone surrogate counts as U+FFFD.
   * @throws {LLMError} `ERR_INVALID_INPUT` if `text` is not a string.
   */
  async encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): Promise<Int32Array> {
    if (typeof text !== 'string') {
      throw new LLMError('ERR_INVALID_INPUT', `The text to encode is ${show(text)}; expected a string.`);
    }
    const encoding = await this.#encoder.encode(text, null, { addSpecialTokens }).catch((cause: unknown) => {
      throw new LLMError(
        'ERR_TOKENIZER_INVALID',
        `The tokenizer failed on this text: ${messageOf(cause)}. Copy tokenizer.json from the model again.`,
        { cause },
      );
    });
    return Int32Array.from(encoding.getIds());
  }

  /**
   * `encode` of what `applyChatTemplate` gives, with no special tokens added: the template has written them.
   * @throws {LLMError} as `applyChatTemplate` does.
   */
  async encodeChat(messages: readonly ChatMessage[], options?: ChatTemplateOptions): Promise<Int32Array> {
    return this.encode(this.applyChatTemplate(messages, options), { addSpecialTokens: false });
  }

  /** The number of tokens that `encode` returns. */
  async count(text: string, options?: EncodeOptions): Promise<number> {
    return (await this.encode(text, options)).length;
  }

  /**
   * The text of the tokens, the same as streaming them gives. Invalid UTF-8 becomes U+FFFD; ids outside the vocabulary have
   * no text.
   * @throws {LLMError} `ERR_INVALID_INPUT` if `tokens` is not an array, or an id is not an integer.
   */
  decode(tokens: ArrayLike<number>, { skipSpecialTokens = true }: DecodeOptions = {}): string {
    const bytes = this.#bytes(tokens, { skipSpecialTokens });
    const strip = this.byteTable.stripLeadingSpace && bytes[0] === 0x20;
    return this.#decoder.decode(strip ? bytes.subarray(1) : bytes);
  }

  /** The text of one token, or the name of a special token; bytes of an incomplete character become U+FFFD. */
  tokenText(id: number): string {
    return this.#decoder.decode(this.#bytes([id], { skipSpecialTokens: false }));
  }

  /**
   * A conversation as the text that the model was trained on, special tokens included. Encode it with
   * `addSpecialTokens: false`, or use `encodeChat` for both.
   * @throws {LLMError} `ERR_CHAT_TEMPLATE` if there is no template, it rejects the messages, or it takes more than
   *   `chatTemplateLimits`; `ERR_INVALID_INPUT` if a field of `messages` is wrong, which the message names.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string {
    if (this.#chatTemplate) return this.#chatTemplate.render(messages, options);
    throw new LLMError(
      'ERR_CHAT_TEMPLATE',
      'This model has no chat template; expected one, because messages were passed. Put it beside tokenizer.json as chat_template.jinja, or pass text or tokens.',
    );
  }

  #bytes(tokens: ArrayLike<number>, { skipSpecialTokens }: { skipSpecialTokens: boolean }): Uint8Array {
    if (typeof tokens !== 'object' || tokens === null || !Number.isInteger(tokens.length)) {
      throw new LLMError(
        'ERR_INVALID_INPUT',
        `The tokens to decode are ${show(tokens)}; expected an array of integers.`,
      );
    }
    const { bytes, offsets, special } = this.byteTable;
    const wanted = (id: number): boolean => id >= 0 && id < special.length && !(skipSpecialTokens && special[id] === 1);
    let size = 0;
    for (let i = 0; i < tokens.length; i++) {
      const id = tokens[i] as number;
      if (!Number.isInteger(id)) {
        throw new LLMError('ERR_INVALID_INPUT', `tokens[${i}] is ${show(id)}; expected an integer.`);
      }
      if (wanted(id)) size += (offsets[id + 1] as number) - (offsets[id] as number);
    }
    const out = new Uint8Array(size);
    let end = 0;
    for (let i = 0; i < tokens.length; i++) {
      const id = tokens[i] as number;
      if (!wanted(id)) continue;
      // Byte by byte: a token is too short for subarray() and set() to pay.
      for (let at = offsets[id] as number; at < (offsets[id + 1] as number); at++) out[end++] = bytes[at] as number;
    }
    return out;
  }
}

const unreadable = (file: string, cause: unknown): LLMError =>
  new LLMError(
    'ERR_TOKENIZER_INVALID',
    `${file} cannot be read: ${messageOf(cause)}. Check the file and its permissions.`,
    { cause },
  );

/** Loaded on first use, so that this package can be imported where `tokenizers` has no build. */
function loadTokenizers(): typeof import('tokenizers') {
  try {
    return createRequire(import.meta.url)('tokenizers');
  } catch (cause) {
    throw new LLMError(
      'ERR_PLATFORM_UNSUPPORTED',
      `The package tokenizers could not be loaded: ${messageOf(cause)}. Reinstall it for this platform: npm install`,
      {
        cause,
      },
    );
  }
}

function createEncoder(json: string, file: string): Encoder {
  const { Tokenizer: TokenizerOfJson } = loadTokenizers();
  try {
    const encoder = TokenizerOfJson.fromString(json);
    // Some files carry the settings of training; cutting or padding a prompt unasked would be wrong.
    encoder.disableTruncation();
    encoder.disablePadding();
    return encoder;
  } catch (cause) {
    throw new LLMError(
      'ERR_TOKENIZER_INVALID',
      `${file} was rejected by Hugging Face tokenizers: ${messageOf(cause)}. Copy it from the model again.`,
      {
        cause,
      },
    );
  }
}
