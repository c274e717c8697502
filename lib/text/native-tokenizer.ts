declare const openedBrand: unique symbol;
/** What openTokenizer() gives, for the one NativeTokenizer that is made of it. */
export interface OpenedTokenizer {
  readonly [openedBrand]: true;
}

/** A text that is being encoded on libuv's pool, a few milliseconds at a time. */
export interface Encoding {
  promise: Promise<Int32Array>;
  /** What the promise gives is of no use any more. */
  abort: () => void;
}

/** A tokenizer.json. All that this process makes of the same file share one in native memory. */
export interface NativeTokenizer {
  vocabSize(): number;
  /** A short text is encoded at once. Throws, as the promise does, errors that have the `code` of an LLMError. */
  encode(text: string, addSpecialTokens: boolean, maxTokens: number | undefined): Int32Array | Encoding;
  /** Ids outside the vocabulary have no text. */
  decode(tokens: Int32Array, skipSpecialTokens: boolean): string;
  tokenText(id: number): string;
}

/** The begin and end token, and whether a text gets them; undefined: as tokenizer.json says. */
export interface AddedByDefault {
  readonly bosToken?: string | undefined;
  readonly eosToken?: string | undefined;
  readonly addBosToken?: boolean | undefined;
  readonly addEosToken?: boolean | undefined;
}

/** What the addon exports of it. */
export interface TokenizerAddon {
  NativeTokenizer: new (opened: OpenedTokenizer, options: AddedByDefault) => NativeTokenizer;
  /** Reads the file on libuv's pool. */
  openTokenizer(path: string): Promise<OpenedTokenizer>;
  /** Blocks, for long only if no other tokenizer of the file is in use. */
  openTokenizerNow(path: string): OpenedTokenizer;
}
