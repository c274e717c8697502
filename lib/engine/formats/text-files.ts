import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LLMError, messageOf } from '../../base/errors.js';
import { isNotFound, listDirectory } from '../../base/file-errors.js';
import { isJsonObject, parseJsonObject } from '../../base/json.js';
import { namedTemplateFiles, TEMPLATE_DIRECTORY } from '../directory/chat-templates.js';
import { MAX_TOKENIZER_BYTES } from '../directory/generation-config.js';
import { checkText } from './source.js';
import { openDirectoryFiles, readWhole, type SourceFiles } from './source-files.js';

/** The tokenizer and what goes with it, by Hugging Face's names. */
export const TEXT_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'chat_template.json',
  'generation_config.json',
];

/** The text files of a model. */
export interface ModelTexts {
  /** Those of {@link TEXT_FILES} that there are, and templates that have names, by their paths. */
  readonly names: readonly string[];
  writeTo(dir: string): Promise<void>;
}

/** Those that do not lie beside its weights, or are in the archive with them. */
export interface TextFiles extends ModelTexts {
  /** How messages name where they are. */
  readonly label: string;
  /** Tokens that tokenizer.json has: one more than its highest id. */
  readonly tokens: number;
}

/** Those of a directory that has these names. What cannot be copied is refused here, before the weights are converted. */
export async function textsBeside(dir: string, names: readonly string[]): Promise<ModelTexts> {
  const copied = [...TEXT_FILES.filter((name) => names.includes(name)), ...(await namedTemplateFiles(dir))];
  for (const name of copied) await checkText(join(dir, name));
  return {
    names: copied,
    async writeTo(out) {
      for (const name of copied) await copyFile(join(dir, name), await placeFor(out, name));
    },
  };
}

/** Opens the directory that `tokenizer` of `convert` names. */
export async function openTokenizerDirectory(dir: string): Promise<TextFiles> {
  const names = await listDirectory(dir).catch((cause: unknown) => {
    const found = isNotFound(cause) ? 'is not a directory' : `cannot be read: ${messageOf(cause)}`;
    throw new LLMError('ERR_TOKENIZER_MISSING', `tokenizer: ${dir} ${found}; expected one that holds tokenizer.json.`, {
      cause,
      option: 'tokenizer',
    });
  });
  if (names.includes('tokenizer.json')) {
    const files = await openDirectoryFiles(dir, [TEMPLATE_DIRECTORY]);
    return openTexts(files, new Map([...TEXT_FILES, ...namedTemplatesIn(files)].map((name) => [name, name])));
  }
  throw new LLMError(
    'ERR_TOKENIZER_MISSING',
    `tokenizer: ${dir} has no tokenizer.json. Make one in Python: AutoTokenizer.from_pretrained("${dir}").save_pretrained("${dir}")`,
    { option: 'tokenizer' },
  );
}

export const namedTemplatesIn = (files: SourceFiles): string[] =>
  [...files.names].filter((name) => NAMED_TEMPLATE.test(name)).sort();
const NAMED_TEMPLATE = new RegExp(`^${TEMPLATE_DIRECTORY}/[^/]+\\.jinja$`);

/** Makes the directory of a file of an engine, which may be below the engine's. */
export async function placeFor(out: string, name: string): Promise<string> {
  const file = join(out, name);
  await mkdir(dirname(file), { recursive: true });
  return file;
}

/** Text files among `files`; `sources` says where each lies, by its name. tokenizer.json must be among them. */
export async function openTexts(files: SourceFiles, sources: ReadonlyMap<string, string>): Promise<TextFiles> {
  const there = [...sources].filter(([, source]) => files.names.has(source));
  const read = (source: string): Promise<Buffer> =>
    readWhole(files, source, MAX_TOKENIZER_BYTES, "Use the model's own file.");
  const tokenizer = sources.get('tokenizer.json') as string;
  return {
    label: files.label(tokenizer),
    names: there.map(([name]) => name),
    tokens: countTokens((await read(tokenizer)).toString('utf8'), files.label(tokenizer)),
    async writeTo(dir) {
      for (const [name, source] of there) await writeFile(await placeFor(dir, name), await read(source));
    },
  };
}

function countTokens(text: string, file: string): number {
  const fix = "Use the model's own tokenizer.json.";
  const json = parseJsonObject(text, { file, code: 'ERR_SOURCE_INVALID', fix });
  const { vocab } = json.child('model').object;
  const { added_tokens: added } = json.object;
  let highest = Array.isArray(vocab) ? vocab.length - 1 : -1;
  const ids = isJsonObject(vocab) ? Object.values(vocab) : [];
  for (const id of ids) if (typeof id === 'number' && id > highest) highest = id;
  for (const token of Array.isArray(added) ? added : []) {
    if (isJsonObject(token) && typeof token.id === 'number' && token.id > highest) highest = token.id;
  }
  if (Number.isSafeInteger(highest) && highest >= 0) return highest + 1;
  throw new LLMError('ERR_SOURCE_INVALID', `${file} has no vocabulary; expected one in model.vocab. ${fix}`);
}
