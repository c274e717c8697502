import { LLMError } from '../base/errors.js';

/** What each token stands for in bytes, in the form the addon takes. */
export interface ByteTable {
  /** The bytes of all tokens, back to back. */
  readonly bytes: Uint8Array;
  /** `[vocabSize + 1]`: token t is `bytes[offsets[t]]` up to `bytes[offsets[t + 1]]`. */
  readonly offsets: Uint32Array;
  /** `[vocabSize]`: 1 if the token is not text (an end or role mark). */
  readonly special: Uint8Array;
  /** Whether a space that comes first in a text is dropped: SentencePiece puts one there. */
  readonly stripLeadingSpace: boolean;
}

export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
}

/** The parts of `tokenizer.json` that say what a token is in bytes. */
export interface Vocabulary {
  /** What the model's tokens are called, by id; unused ids are holes. */
  names: (string | undefined)[];
  addedTokens: AddedToken[];
  decoder: unknown;
}

/** How the name of a token becomes its bytes. */
interface DecodeRules {
  /** Done first, in this order: what to replace, and by what. */
  replacements: [string, string][];
  /** `byte-level`: a character a byte, by GPT-2's table. `byte-fallback`: UTF-8, but `<0x0A>` is the byte 10. */
  spelling: 'text' | 'byte-level' | 'byte-fallback';
  stripLeadingSpace: boolean;
}

/** @throws {LLMError} `ERR_TOKENIZER_INVALID` where the decoder looks at more than one token at a time. */
const decodeRules = (decoder: unknown, file: string): DecodeRules => {
  const rules: DecodeRules = { replacements: [], spelling: 'text', stripLeadingSpace: false };
  let fused = false; // from here on the steps see the whole text, and no longer single tokens
  const add = (step: unknown): boolean => {
    const { type, ...settings } = (step ?? {}) as Record<string, unknown>;
    const ofNames = !fused && rules.spelling === 'text';
    switch (type) {
      case 'Sequence':
        return Array.isArray(settings.decoders) && settings.decoders.every(add);
      case 'Fuse':
        fused = true;
        return true;
      case 'ByteLevel':
        rules.spelling = 'byte-level';
        fused = true;
        return ofNames;
      case 'ByteFallback':
        rules.spelling = 'byte-fallback';
        return ofNames;
      case 'Replace': {
        const { String: pattern } = (settings.pattern ?? {}) as Record<string, unknown>;
        if (!ofNames || typeof pattern !== 'string' || typeof settings.content !== 'string') return false;
        rules.replacements.push([pattern, settings.content]);
        return true;
      }
      case 'Metaspace':
        // Hugging Face drops each space of the first token; here only the one that encoding put there.
        if (!ofNames || typeof settings.replacement !== 'string') return false;
        rules.replacements.push([settings.replacement, ' ']);
        rules.stripLeadingSpace = settings.prepend_scheme !== 'never' && settings.add_prefix_space !== false;
        return true;
      case 'Strip':
        rules.stripLeadingSpace = true;
        return fused && settings.content === ' ' && settings.start === 1 && settings.stop === 0;
      default:
        return false;
    }
  };
  if (add(decoder)) return rules;
  throw new LLMError(
    'ERR_TOKENIZER_INVALID',
    `The decoder in ${file} is ${JSON.stringify(decoder ?? null).slice(0, 300)}; expected ByteLevel, Metaspace, or a sequence of ` +
      'Replace (of a string), ByteFallback, Fuse and then Strip (of one space on the left). Other decoders are not supported.',
  );
};

/** GPT-2 writes a byte as the printable character of its number, and the other 68 as U+0100 upwards. */
const BYTE_OF_CHARACTER: Int16Array = (() => {
  const bytes = new Int16Array(256 + 68).fill(-1);
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    bytes[printable ? byte : next++] = byte;
  }
  return bytes;
})();

const UTF8 = new TextEncoder();

/** Each writes the bytes of `text` to the start of `out`, and returns their number. */
const WRITE: Record<DecodeRules['spelling'], (text: string, out: Uint8Array) => number> = {
  text: (text, out) => UTF8.encodeInto(text, out).written,
  'byte-level': (text, out) => {
    for (let i = 0; i < text.length; i++) {
      const byte = BYTE_OF_CHARACTER[text.charCodeAt(i)] ?? -1;
      if (byte < 0) return UTF8.encodeInto(text, out).written; // an added token that is not spelled by bytes
      out[i] = byte;
    }
    return text.length;
  },
  'byte-fallback': (text, out) => {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
    if (byte === undefined) return UTF8.encodeInto(text, out).written;
    out[0] = Number.parseInt(byte, 16);
    return 1;
  },
};

/**
 * Blocks the calling thread: about 50 ms for a vocabulary of 128,000.
 * @param file named in errors.
 * @throws {LLMError} `ERR_TOKENIZER_INVALID` if the decoder does not map tokens to bytes.
 */
export const buildByteTable = ({ names, addedTokens, decoder }: Vocabulary, file: string): ByteTable => {
  const rules = decodeRules(decoder, file);
  const size = addedTokens.reduce((most, { id }) => Math.max(most, id + 1), names.length);
  const texts = new Array<string>(size).fill(''); // not a copy: an array with wide holes is slow and large
  names.forEach((name, id) => {
    texts[id] = name ?? '';
  });
  for (const { id, content } of addedTokens) texts[id] = content;
  const special = new Uint8Array(texts.length);
  for (const token of addedTokens) special[token.id] = token.special ? 1 : 0;

  let units = 0;
  for (let id = 0; id < texts.length; id++) {
    let text = texts[id] ?? '';
    for (const [pattern, content] of rules.replacements) text = text.replaceAll(pattern, content);
    texts[id] = text;
    units += text.length;
  }

  const write = WRITE[rules.spelling];
  const room = new Uint8Array(units * 3); // UTF-8 takes at most three bytes for a UTF-16 unit
  const offsets = new Uint32Array(texts.length + 1);
  let end = 0;
  for (let id = 0; id < texts.length; id++) {
    const text = texts[id];
    if (text) end += write(text, room.subarray(end));
    offsets[id + 1] = end;
  }
  return { bytes: room.slice(0, end), offsets, special, stripLeadingSpace: rules.stripLeadingSpace };
};
