import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LLMError } from '../base/errors.js';
import { readText } from '../base/files.js';
import { parseTokenizerJson } from '../text/tokenizer-json.js';
import { addonDirectory } from './addon.js';
import type { NativeGuidedConfig } from './protocol.js';

/** What is needed of the engine directory. */
interface EngineFiles {
  readonly path: string;
  readonly tokenizerPath: string | undefined;
  readonly endIds: readonly number[];
}

/** The number of ExecutorGuidedBackend in native/executor/config.h. */
const LLGUIDANCE = 1;

/**
 * What a backend needs to enforce `guided`: the model's vocabulary. The embedded executors get its bytes from the addon, and
 * enforce `guided` without being asked where their library for it is there and works.
 * @param backend an ExecutorGuidedBackend; undefined if none was asked for.
 * @throws {LLMError} `ERR_TOKENIZER_MISSING`, `ERR_TOKENIZER_INVALID`, `ERR_EXECUTOR_UNAVAILABLE`.
 */
export async function guidedConfig(
  backend: number | undefined,
  { path, tokenizerPath, endIds }: EngineFiles,
  isEmbedded: boolean,
): Promise<NativeGuidedConfig | undefined> {
  const stopTokens = Int32Array.from(endIds);
  const embedded = { vocabulary: [], tokenizerJson: '', stopTokens };
  if (backend === undefined) {
    const isPossible = isEmbedded && tokenizerPath !== undefined && endIds.length > 0 && existsSync(guidanceLibrary());
    return isPossible ? { ...embedded, backend: LLGUIDANCE, optional: true } : undefined;
  }
  if (tokenizerPath === undefined) {
    throw new LLMError(
      'ERR_TOKENIZER_MISSING',
      `${path} has no tokenizer.json; expected one, because guidedDecoding is set. Copy it from the model, or remove guidedDecoding.`,
    );
  }
  if (isEmbedded) {
    if (backend === LLGUIDANCE && !existsSync(guidanceLibrary())) throw missingGuidance();
    return { ...embedded, backend };
  }
  const tokenizerJson = await readText(tokenizerPath); // once more, since few loads need it
  const { names, addedTokens } = parseTokenizerJson(tokenizerJson, tokenizerPath);
  for (const { id, content } of addedTokens) names[id] = content;
  const vocabulary = Array.from(names, (name) => name ?? ''); // an id that no token has keeps its place
  return { backend, vocabulary, tokenizerJson, stopTokens };
}

const guidanceLibrary = (): string => join(addonDirectory(), 'libguidance.so');

const missingGuidance = (): LLMError =>
  new LLMError(
    'ERR_EXECUTOR_UNAVAILABLE',
    `guidedDecoding is 'llguidance', but ${guidanceLibrary()} does not exist. Reinstall the package, or in a clone build it with ` +
      'npm run build:guidance, which needs Rust. Without guidedDecoding, the engine loads and refuses requests with guided.',
    { option: 'guidedDecoding' },
  );
