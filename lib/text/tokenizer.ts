import { whenAborted } from '../base/abort.js';
import type { ChatTemplateLimits } from '../base/chat-template-limits.js';
import { ownItem, show } from '../base/checks.js';
import { type ErrorCode, isError, LLMError, messageOf } from '../base/errors.js';
import type { ChatMessage } from '../base/types.js';
import type { ChatTemplateOptions } from './chat-template.js';
import { ChatTemplates } from './chat-templates.js';
import type { AddedByDefault, Encoding, NativeTokenizer, TokenizerAddon } from './native-tokenizer.js';
import { type CompiledTemplate, compileTemplate, marksOf } from './response/template.js';
import { TemplateFault } from './response/template-fault.js';

export interface TokenizerOptions {
  /** Path of `tokenizer.json`. */
  tokenizerPath: string;
  /** The templates' text by their names; `default` is for messages without tools. Default: none, and messages are refused. */
  chatTemplates?: ReadonlyMap<string, string> | undefined;
  /** Given to the chat template: `bos_token` and others. */
  specialTokens?: Readonly<Record<string, string>> | undefined;
  /** Whether a text begins with `bos_token`, unless it is encoded without special tokens. Default: as tokenizer.json says. */
  addBosToken?: boolean | undefined;
  /** Whether it ends with `eos_token`. Default: as tokenizer.json says. */
  addEosToken?: boolean | undefined;
  /** What the chat template may use. */
  chatTemplateLimits?: ChatTemplateLimits | undefined;
  /** `response_template` of tokenizer_config.json. Default: the one that is known for the marks of the chat template. */
  responseTemplate?: unknown;
}

/** How text becomes tokens. */
export interface EncodeOptions {
  /** Add the special tokens that the model expects around the text, usually one at the start. Default: true. */
  addSpecialTokens?: boolean | undefined;
  /** The longest text in tokens, special ones included. A longer one is refused without encoding it all. Default: no limit. */
  maxTokens?: number | undefined;
  /** Stops the encoding when it aborts; the promise rejects with its reason. Default: none. */
  signal?: AbortSignal | undefined;
}

/** How tokens become text. */
export interface DecodeOptions {
  /** Leave special tokens, such as role markers, out of the text. Default: true. */
  skipSpecialTokens?: boolean | undefined;
}

/** A model's tokenizer and chat template. */
export class Tokenizer {
  readonly #templates: ChatTemplates;
  /** Internal: what of the model's own response template cannot be used. */
  readonly responseFault: TemplateFault | undefined;
  readonly #ownResponse: CompiledTemplate | undefined;
  readonly #shown = new WeakMap<CompiledTemplate, Map<boolean, Int32Array>>();
  /** Internal: what the addon makes text with. */
  readonly native: NativeTokenizer;
  /** All ids are below this. The model's own vocabulary can be larger, padded with ids that have no text. */
  readonly vocabSize: number;
  /** Text of the special tokens by their names, such as `bos_token` and `eos_token`. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** Source of the chat templates by their names; most models have one, `'default'`. */
  readonly chatTemplates: ReadonlyMap<string, string>;

  private constructor(native: NativeTokenizer, options: TokenizerOptions) {
    const { chatTemplates = new Map(), specialTokens = {}, chatTemplateLimits, responseTemplate } = options;
    this.specialTokens = specialTokens;
    this.chatTemplates = chatTemplates;
    this.#templates = new ChatTemplates(chatTemplates, specialTokens, chatTemplateLimits);
    this.native = native;
    this.vocabSize = native.vocabSize();
    try {
      this.#ownResponse = responseTemplate === undefined ? undefined : compileTemplate(responseTemplate);
    } catch (cause) {
      if (!(cause instanceof TemplateFault)) throw cause;
      this.responseFault = cause;
    }
  }

  /**
   * Internal: the file is read on libuv's thread pool.
   * @throws {LLMError} `ERR_TOKENIZER_INVALID` naming the file.
   */
  static async load(addon: TokenizerAddon, options: TokenizerOptions): Promise<Tokenizer> {
    const opened = await addon.openTokenizer(options.tokenizerPath).catch((thrown: unknown) => {
      throw fromNative(thrown);
    });
    return new Tokenizer(new addon.NativeTokenizer(opened, addedByDefault(options)), options);
  }

  /** Internal: the same, at once. Blocks, for long only if no other tokenizer of the file is in use. */
  static loadNow(addon: TokenizerAddon, options: TokenizerOptions): Tokenizer {
    try {
      const opened = addon.openTokenizerNow(options.tokenizerPath);
      return new Tokenizer(new addon.NativeTokenizer(opened, addedByDefault(options)), options);
    } catch (thrown) {
      throw fromNative(thrown);
    }
  }

  /**
   * Encodes a long text on libuv's thread pool. Encodings that run at the same time can end in any order.
   * A lone surrogate counts as U+FFFD.
   * @throws {LLMError} `ERR_INVALID_INPUT` if `text` is not a string, `ERR_INVALID_OPTION` if `maxTokens` is not a whole number,
   *   `ERR_PROMPT_TOO_LONG` if there are more than `maxTokens`, `ERR_OUT_OF_MEMORY`, `ERR_TOKENIZER_INVALID` if a pattern of
   *   tokenizer.json takes too long for this text.
   */
  async encode(text: string, options?: EncodeOptions): Promise<Int32Array> {
    const addSpecialTokens = options?.addSpecialTokens ?? true;
    const maxTokens = options?.maxTokens ?? undefined;
    const signal = options?.signal ?? undefined;
    if (typeof text !== 'string') {
      throw new LLMError('ERR_INVALID_INPUT', `The text to encode is ${show(text)}; expected a string.`);
    }
    if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens >= 0)) {
      throw new LLMError('ERR_INVALID_OPTION', `maxTokens is ${show(maxTokens)}; expected a whole number from 0.`);
    }
    signal?.throwIfAborted();
    try {
      const encoding = this.native.encode(text, addSpecialTokens, maxTokens);
      return ArrayBuffer.isView(encoding) ? encoding : await untilAborted(encoding, signal);
    } catch (thrown) {
      if (signal?.aborted && thrown === signal.reason) throw thrown;
      const error = fromNative(thrown);
      if (error.code !== 'ERR_PROMPT_TOO_LONG') throw error;
      throw new LLMError(error.code, `${error.message} (maxTokens). Shorten it, or raise maxTokens.`, {
        cause: thrown,
      });
    }
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
  decode(tokens: ArrayLike<number>, options?: DecodeOptions): string {
    try {
      return this.native.decode(toIds(tokens), options?.skipSpecialTokens ?? true);
    } catch (thrown) {
      throw fromNative(thrown);
    }
  }

  /** The text of one token, or the name of a special token; bytes of an incomplete character become U+FFFD. */
  tokenText(id: number): string {
    return this.native.tokenText(toIds([id])[0] as number);
  }

  /**
   * A conversation as the text that the model was trained on, special tokens included. Encode it with
   * `addSpecialTokens: false`, or use `encodeChat` for both.
   * @throws {LLMError} `ERR_CHAT_TEMPLATE` if there is no template, or none of the name, it rejects the messages, or it takes more than
   *   `chatTemplateLimits`; `ERR_INVALID_INPUT` if a field of `messages` is wrong, which the message names.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string {
    return this.#templates.choose(options ?? {}).render(messages, options ?? {});
  }

  /** Internal: how answers to messages are read; undefined if that is not known. */
  responseTemplate(options: ChatTemplateOptions): CompiledTemplate | undefined {
    return this.#ownResponse ?? this.#templates.find(options)?.response;
  }

  /** Internal: the one token that a short text is. */
  tokenOf(text: string): number | undefined {
    const tokens = this.native.encode(text, false, undefined);
    return tokens instanceof Int32Array && tokens.length === 1 ? tokens[0] : undefined;
  }

  /** Internal: the special tokens that the marks of a response template name. */
  shownTokens(template: CompiledTemplate, hasTools: boolean): Int32Array {
    const known = this.#shown.get(template) ?? new Map<boolean, Int32Array>();
    this.#shown.set(template, known);
    const shown = known.get(hasTools) ?? this.#specialTokensIn(marksOf(template, hasTools).join('\n'));
    known.set(hasTools, shown);
    return shown;
  }

  #specialTokensIn(text: string): Int32Array {
    const tokens = this.native.encode(text, false, undefined);
    if (!(tokens instanceof Int32Array)) return new Int32Array(0); // marks are short
    return new Int32Array(new Set(tokens)).filter((token) => {
      const id = Int32Array.of(token);
      return this.native.decode(id, true) === '' && this.native.decode(id, false) !== '';
    });
  }
}

const addedByDefault = ({ specialTokens, addBosToken, addEosToken }: TokenizerOptions): AddedByDefault => ({
  bosToken: specialTokens?.bos_token,
  eosToken: specialTokens?.eos_token,
  addBosToken,
  addEosToken,
});

/** Its tokens, or the signal's reason as soon as that aborts. */
async function untilAborted({ promise, abort }: Encoding, signal: AbortSignal | undefined): Promise<Int32Array> {
  if (!signal) return promise;
  let stopListening: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stopListening = whenAborted(signal, () => {
      abort();
      reject(signal.reason);
    });
  });
  return Promise.race([promise, aborted]).finally(stopListening);
}

const MAX_TOKENS = 2 ** 28; // a gigabyte

/** Ids outside of 32 bits, which have no text either, become -1. */
function toIds(tokens: ArrayLike<number>): Int32Array {
  try {
    const length: unknown = typeof tokens === 'object' && tokens !== null ? tokens.length : undefined;
    if (isLength(length)) return tokens instanceof Int32Array ? tokens : copyIds(tokens, length);
  } catch (cause) {
    if (LLMError.is(cause)) throw cause; // else a getter or a proxy threw
    throw new LLMError('ERR_INVALID_INPUT', `The tokens to decode cannot be read: ${messageOf(cause)}.`, { cause });
  }
  throw new LLMError('ERR_INVALID_INPUT', `The tokens to decode are ${show(tokens)}; expected an array of integers.`);
}

const isLength = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TOKENS;

function copyIds(tokens: ArrayLike<unknown>, length: number): Int32Array {
  const ids = new Int32Array(length);
  for (let i = 0; i < length; i++) {
    const id = ownItem(tokens, i);
    if (!Number.isInteger(id)) {
      throw new LLMError('ERR_INVALID_INPUT', `tokens[${i}] is ${show(id)}; expected an integer.`);
    }
    ids[i] = id === ((id as number) | 0) ? id : -1;
  }
  return ids;
}

/** What the addon threw, as an LLMError. */
function fromNative(thrown: unknown): LLMError {
  const code = isError(thrown) && 'code' in thrown ? (thrown.code as ErrorCode) : 'ERR_INTERNAL';
  return LLMError.is(thrown) ? thrown : new LLMError(code, messageOf(thrown), { cause: thrown });
}
