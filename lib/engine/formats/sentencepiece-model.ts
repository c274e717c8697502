import { LLMError } from '../../base/errors.js';
import { type ProtoField, readFields } from './protobuf.js';
import { MAX_JOINED, type Piece, PieceType, tooLongPiece } from './sentencepiece-parts.js';

/** What a SentencePiece model (`tokenizer.model`) holds. */
export interface SentencePieceModel {
  readonly type: 'unigram' | 'bpe';
  readonly pieces: readonly Piece[];
  readonly unk: number;
  /** Undefined if the model has none. */
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  /** Characters that no token has are spelled by their bytes. */
  readonly byteFallback: boolean;
  /** Which characters become which, as SentencePiece compiled it; may be empty. */
  readonly characterMap: Uint8Array;
  /** A space is put before a text. */
  readonly addPrefix: boolean;
  /** Spaces at the ends are dropped, and one is left of several. */
  readonly removeSpaces: boolean;
  /** A space is written as ▁. */
  readonly escapeSpaces: boolean;
}

const MAX_PIECES = 1 << 21; // as native/text reads it
const MAX_PIECE_BYTES = 1024; // likewise

/** @throws {LLMError} `ERR_SOURCE_INVALID` naming the file, `ERR_MODEL_UNSUPPORTED` for a model of another kind. */
export function readSentencePieceModel(bytes: Uint8Array, file: string): SentencePieceModel {
  const invalid = (found: string): LLMError =>
    new LLMError(
      'ERR_SOURCE_INVALID',
      `${file} ${found}; expected a SentencePiece model. Copy the model's own file again.`,
    );
  const unsupported = (found: string, expected: string): LLMError =>
    new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `${file} ${found}; expected ${expected}. Make a tokenizer.json in Python: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`,
    );
  const fieldsOf = (message: Uint8Array): Generator<ProtoField, void> =>
    readFields(message, (at) => invalid(`is damaged at byte ${message.byteOffset - bytes.byteOffset + at}`));

  const pieces: Piece[] = [];
  const trainer = new Map<number, number>();
  const normalizer = new Map<number, number>();
  let characterMap = new Uint8Array();
  for (const { number, bytes: message } of fieldsOf(bytes)) {
    if (number === 1) {
      if (pieces.length === MAX_PIECES) throw invalid(`has more than ${MAX_PIECES} pieces`);
      pieces.push(readPiece(fieldsOf(message), pieces.length, invalid));
    } else if (number === 2) {
      for (const field of fieldsOf(message)) trainer.set(field.number, field.value);
    } else if (number === 3) {
      for (const field of fieldsOf(message)) {
        normalizer.set(field.number, field.value);
        if (field.number === 2) characterMap = new Uint8Array(field.bytes);
      }
    }
  }
  const unk = checkPieces(pieces, invalid, unsupported);
  const type = ({ 1: 'unigram', 2: 'bpe' } as const)[trainer.get(3) ?? 1];
  if (type === undefined) throw unsupported(`is a model of words or characters`, 'byte pair encoding or Unigram');
  if (trainer.get(24)) throw unsupported('puts spaces behind words', 'a model that puts them before words');
  const idOf = (field: number, fallback: number): number | undefined => {
    const id = trainer.get(field) ?? fallback;
    return id >= 0 && id < pieces.length ? id : undefined;
  };
  return {
    type,
    pieces,
    unk,
    bos: idOf(41, 1),
    eos: idOf(42, 2),
    byteFallback: Boolean(trainer.get(35)),
    characterMap,
    addPrefix: Boolean(normalizer.get(3) ?? 1),
    removeSpaces: Boolean(normalizer.get(4) ?? 1),
    escapeSpaces: Boolean(normalizer.get(5) ?? 1),
  };
}

function readPiece(fields: Iterable<ProtoField>, id: number, invalid: (found: string) => LLMError): Piece {
  let text = '';
  let score = 0;
  let type: number = PieceType.normal;
  for (const { number, value, bytes } of fields) {
    if (number === 1) {
      if (bytes.length > MAX_PIECE_BYTES) throw invalid(`has a piece ${id} of ${bytes.length} bytes`);
      text = decode(bytes, () => invalid(`has a piece ${id} that is not UTF-8`));
    } else if (number === 2) {
      score = value;
    } else if (number === 3) {
      type = value;
    }
  }
  if (text === '' || !Number.isFinite(score) || !Object.values<number>(PieceType).includes(type)) {
    throw invalid(`has a piece ${id} without text, score or type`);
  }
  return { text, score, type };
}

function decode(bytes: Uint8Array, refuse: () => LLMError): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refuse();
  }
}

/** Returns the id of the unknown piece. */
function checkPieces(
  pieces: readonly Piece[],
  invalid: (found: string) => LLMError,
  unsupported: (found: string, expected: string) => LLMError,
): number {
  if (pieces.length === 0) throw invalid('has no pieces');
  const seen = new Set<string>();
  for (const { text } of pieces) {
    if (seen.has(text)) throw invalid(`has the piece ${JSON.stringify(text)} twice`);
    seen.add(text);
  }
  const unused = pieces.find(({ type }) => type === PieceType.unused);
  if (unused) throw unsupported(`has the unused piece ${JSON.stringify(unused.text)}`, 'a model that uses all pieces');
  const tooLong = tooLongPiece(pieces);
  if (tooLong >= 0) throw invalid(`has a piece ${tooLong} of more than ${MAX_JOINED} characters`);
  const unknown = pieces.flatMap(({ type }, id) => (type === PieceType.unknown ? [id] : []));
  if (unknown.length !== 1) throw invalid(`has ${unknown.length} unknown pieces, where each model has one`);
  return unknown[0] as number;
}
