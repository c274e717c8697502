import { readdirSync, readFileSync } from 'node:fs';
import type { ChatMessage, Logits } from 'node-tensorrt-llm';

/** What scripts/make-goldens.py, which describes the files, got from Hugging Face transformers for one model. */
export interface Golden {
  /** Of the rank0.safetensors whose weights the reference used. */
  weightsSha256: string;
  /** The fields of `pretrained_config` that the reference was built from. */
  config: Readonly<Record<string, unknown>>;
  /** Whether prompt and tokens in one pass are another computation than one token after the other. */
  stepwise?: boolean;
  requests: GoldenRequest[];
}

export interface GoldenRequest {
  label: string;
  /** The prompt as a conversation, as text behind the chat template, and as tokens. */
  messages?: ChatMessage[];
  text?: string;
  prompt: number[];
  /** The text of `greedy`, special tokens included; there with `text`. */
  answer?: string;
  /** The tokens that greedy decoding adds, end tokens ignored. */
  greedy: number[];
  /** For each token of `greedy`, how far its logit is above the second highest. */
  margins: number[];
  /** For each token of `greedy`, the log of the summed exponentials of all logits. */
  logsumexp: number[];
  /** The greatest |logit| of any row. */
  maxAbsLogit: number;
  /** For each token of `greedy`, the logits that chose it: token -> logit, the highest always among them. */
  rows: Map<number, number>[];
}

interface GoldenJson extends Omit<Golden, 'requests'> {
  rows: number;
  columns: number[] | null;
  top: number;
  requests: (Omit<GoldenRequest, 'rows' | 'label' | 'prompt'> &
    ({ promptLength: number } | { name: string; prompt: number[] }))[];
}

const GOLDENS = new URL('../../test/goldens/', import.meta.url);

export const goldenNames = (): string[] =>
  readdirSync(GOLDENS)
    .filter((file) => file.endsWith('.golden.json'))
    .map((file) => file.slice(0, -'.golden.json'.length));

export function readGolden(name: string): Golden {
  const golden: GoldenJson = JSON.parse(readFileSync(new URL(`${name}.golden.json`, GOLDENS), 'utf8'));
  const bytes = new Uint8Array(readFileSync(new URL(`${name}.golden.bin`, GOLDENS))).buffer;
  const vocabSize = Number(golden.config.vocab_size);
  const columns = golden.columns ?? Array.from({ length: vocabSize }, (_, token) => token);
  let offset = 0;
  const block = <T>(type: new (buffer: ArrayBuffer, offset: number, length: number) => T, width: number): T => {
    const start = offset;
    offset += golden.rows * width * 4;
    return new type(bytes, start, golden.rows * width);
  };
  const requests = golden.requests.map((request): GoldenRequest => {
    const logits = block(Float32Array, columns.length);
    const topLogits = block(Float32Array, golden.top);
    const topTokens = block(Int32Array, golden.top);
    const rows = Array.from({ length: golden.rows }, (_, row) => {
      const known = new Map<number, number>();
      columns.forEach((token, column) => {
        known.set(token, logits[row * columns.length + column] ?? Number.NaN);
      });
      for (let i = row * golden.top; i < (row + 1) * golden.top; i++) {
        known.set(topTokens[i] ?? -1, topLogits[i] ?? Number.NaN);
      }
      return known;
    });
    const named =
      'prompt' in request
        ? { label: request.name, prompt: request.prompt }
        : { label: `${request.promptLength} tokens`, prompt: formulaPrompt(request.promptLength, vocabSize) };
    return { ...request, ...named, rows };
  });
  return { ...golden, requests };
}

/** Long prompts are not stored: this is the formula of scripts/make-goldens.py. */
export const formulaPrompt = (length: number, vocabSize: number): number[] =>
  Array.from({ length }, (_, i) => (7919 * i + 31 * ((i * i) % 8191)) % vocabSize);

/** The greatest |logit - golden| over the golden's first `rows` rows; row 0 of the golden is row `firstRow` of `logits`. */
export function greatestError(request: GoldenRequest, logits: Logits, firstRow: number, rows: number): number {
  let greatest = 0;
  request.rows.slice(0, rows).forEach((known, row) => {
    for (const [token, expected] of known) {
      const found = logits.data[(firstRow + row) * logits.columns + token] ?? Number.NaN;
      greatest = Math.max(greatest, Math.abs(found - expected)); // NaN stays
    }
  });
  return greatest;
}
