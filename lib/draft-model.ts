import { LLMError } from './base/errors.js';
import { readText } from './base/files.js';
import { type EngineDirectory, type EngineNeeds, openEngine } from './engine/directory/directory.js';
import type { ConfigOptions } from './options/load.js';
import { parseTokenizerJson } from './text/tokenizer-json.js';

/**
 * Checks that the engine of `decoding.draftModel` can draft for the engine of `target`: that it is one, and that both mean the same by
 * each token. With other tokens no draft would come true, and nothing would say so.
 * @throws {LLMError} what openEngine throws; `ERR_INVALID_OPTION` for other tokens.
 */
export async function checkDraftModel(
  { draftModel }: NonNullable<ConfigOptions['decoding']>,
  target: EngineDirectory,
  needs: EngineNeeds,
): Promise<void> {
  if (!draftModel) return;
  const draft = await openEngine(draftModel.engineDir, needs);
  if (draft.tokenizerPath === undefined || target.tokenizerPath === undefined) return; // texts are not its business
  const [ours, theirs] = await Promise.all([readText(target.tokenizerPath), readText(draft.tokenizerPath)]);
  if (ours === theirs) return;
  const [expected, found] = [namesOf(ours, target.tokenizerPath), namesOf(theirs, draft.tokenizerPath)];
  const ids = Math.max(expected.length, found.length);
  for (let id = 0; id < ids; id++) {
    if (expected[id] === found[id]) continue;
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `decoding.draftModel is ${draft.path}, whose token ${id} is ${nameOf(found[id])}; expected ${nameOf(expected[id])}, as in ` +
        `${target.path}. Use a draft model with the same tokenizer, which those of one family have.`,
      { option: 'decoding.draftModel' },
    );
  }
}

function namesOf(text: string, path: string): readonly (string | undefined)[] {
  const { names, addedTokens } = parseTokenizerJson(text, path);
  for (const { id, content } of addedTokens) names[id] = content;
  return names;
}

const nameOf = (name: string | undefined): string => (name === undefined ? 'not there' : JSON.stringify(name));
