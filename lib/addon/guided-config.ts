import { LLMError } from '../base/errors.js';
import { readText } from '../base/files.js';
import { parseTokenizerJson } from '../text/tokenizer-json.js';
import type { NativeGuidedConfig } from './protocol.js';

/** What is needed of the engine directory. */
interface EngineFiles {
  readonly path: string;
  readonly tokenizerPath: string | undefined;
  readonly endIds: readonly number[];
}

/**
 * What a backend needs to enforce `guided`: the model's vocabulary. Reads tokenizer.json once more, since few loads need it.
 * @throws {LLMError} `ERR_TOKENIZER_MISSING`, `ERR_TOKENIZER_INVALID`.
 */
export async function guidedConfig(
  backend: number,
  { path, tokenizerPath, endIds }: EngineFiles,
): Promise<NativeGuidedConfig> {
  if (tokenizerPath === undefined) {
    throw new LLMError(
      'ERR_TOKENIZER_MISSING',
      `${path} has no tokenizer.json; expected one, because guidedDecoding is set. Copy it from the model, or remove guidedDecoding.`,
    );
  }
  const tokenizerJson = await readText(tokenizerPath);
  const { names, addedTokens } = parseTokenizerJson(tokenizerJson, tokenizerPath);
  for (const { id, content } of addedTokens) names[id] = content;
  const vocabulary = Array.from(names, (name) => name ?? ''); // an id that no token has keeps its place
  return { backend, vocabulary, tokenizerJson, stopTokens: Int32Array.from(endIds) };
}
