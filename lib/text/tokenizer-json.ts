import { show } from '../base/checks.js';
import { LLMError } from '../base/errors.js';
import { isJsonObject, type JsonContext, parseJsonObject } from '../base/json.js';

interface AddedToken {
  id: number;
  content: string;
}

/** What the tokens of `tokenizer.json` are called. */
interface Vocabulary {
  /** The model's, by id; unused ids are holes. */
  names: (string | undefined)[];
  addedTokens: AddedToken[];
}

const MAX_ID = 2 ** 21; // far above any vocabulary; for a file of one token, a table up to it takes some 60 MB

/**
 * Reads from the text of `tokenizer.json` what its tokens are called. Blocks as long as `JSON.parse` of it does.
 * @throws {LLMError} `ERR_TOKENIZER_INVALID` naming the file and the field.
 */
export const parseTokenizerJson = (text: string, file: string): Vocabulary => {
  const fix = "Correct it in the file, or put the model's own tokenizer.json there.";
  const context: JsonContext = { file, code: 'ERR_TOKENIZER_INVALID', fix };
  const fields = parseJsonObject(text, context);
  const checkedId = (id: unknown, token: string): number => {
    if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < MAX_ID) return id as number;
    throw new LLMError(
      context.code,
      `${file}: the id of token ${JSON.stringify(token)} is ${show(id)}; expected an integer from 0 to ${MAX_ID - 1}. ${fix}`,
    );
  };

  const names: (string | undefined)[] = [];
  const model = fields.child('model');
  const vocab = model.object.vocab;
  if (Array.isArray(vocab)) {
    // Unigram: pairs of name and score, in the order of the ids.
    for (const [name] of vocab.map((entry: unknown) => (Array.isArray(entry) ? (entry as unknown[]) : []))) {
      if (typeof name !== 'string') throw model.error('vocab', 'pairs of token and score');
      names.push(name);
    }
  } else if (isJsonObject(vocab)) {
    for (const name in vocab) names[checkedId(vocab[name], name)] = name;
  } else {
    throw model.error('vocab', 'an object of tokens and their ids');
  }

  const added = fields.object.added_tokens ?? [];
  if (!Array.isArray(added)) throw fields.error('added_tokens', 'an array');
  const addedTokens = added.map((entry: unknown): AddedToken => {
    if (!isJsonObject(entry) || typeof entry.content !== 'string') {
      throw fields.error('added_tokens', 'objects with an id and a content');
    }
    return { id: checkedId(entry.id, entry.content), content: entry.content };
  });
  return { names, addedTokens };
};
