import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LLMError, messageOf } from '../../base/errors.js';
import { isNotFound, listDirectory } from '../../base/file-errors.js';
import { isJsonObject, type JsonFields, parseJsonObject } from '../../base/json.js';
import { namedTemplateFiles, TEMPLATE_DIRECTORY } from '../directory/chat-templates.js';
import { MAX_TOKENIZER_BYTES } from '../directory/generation-config.js';
import { readSentencePieceModel } from './sentencepiece-model.js';
import { sentencePieceTokenizer } from './sentencepiece-tokenizer.js';
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

/** SentencePiece's own file: where tokenizer.json is missing, that is made of it and of {@link SETTINGS_FILES}. */
export const SENTENCEPIECE_FILE = 'tokenizer.model';
const SETTINGS_FILES = {
  config: 'tokenizer_config.json',
  added: 'added_tokens.json',
  special: 'special_tokens_map.json',
};
/** All that a tokenizer may be read from. */
export const TOKENIZER_SOURCES = [...TEXT_FILES, SENTENCEPIECE_FILE, SETTINGS_FILES.added];

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
  const made = copied.includes('tokenizer.json') ? undefined : await tokenizerOfSentencePiece(dir, names);
  return {
    names: made === undefined ? copied : ['tokenizer.json', ...copied],
    async writeTo(out) {
      for (const name of copied) await copyFile(join(dir, name), await placeFor(out, name));
      if (made !== undefined) await writeFile(join(out, 'tokenizer.json'), made);
    },
  };
}

async function tokenizerOfSentencePiece(dir: string, names: readonly string[]): Promise<string | undefined> {
  if (!names.includes(SENTENCEPIECE_FILE)) return undefined;
  return makeTokenizer(await openDirectoryFiles(dir, []), new Map(TOKENIZER_SOURCES.map((name) => [name, name])));
}

/** The tokenizer.json that says what tokenizer.model does. */
async function makeTokenizer(files: SourceFiles, sources: ReadonlyMap<string, string>): Promise<string> {
  const fix = "Use the model's own file.";
  const settings: Record<string, JsonFields> = {};
  for (const [key, name] of Object.entries(SETTINGS_FILES)) {
    const source = sources.get(name);
    if (source === undefined || !files.names.has(source)) continue;
    const text = (await readWhole(files, source, MAX_TOKENIZER_BYTES, fix)).toString('utf8');
    settings[key] = parseJsonObject(text, { file: files.label(source), code: 'ERR_SOURCE_INVALID', fix });
  }
  const source = sources.get(SENTENCEPIECE_FILE) as string;
  const bytes = await readWhole(files, source, MAX_TOKENIZER_BYTES, fix);
  return sentencePieceTokenizer(readSentencePieceModel(bytes, files.label(source)), settings);
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
  if (names.includes('tokenizer.json') || names.includes(SENTENCEPIECE_FILE)) {
    const files = await openDirectoryFiles(dir, [TEMPLATE_DIRECTORY]);
    return openTexts(files, new Map([...TOKENIZER_SOURCES, ...namedTemplatesIn(files)].map((name) => [name, name])));
  }
  throw new LLMError(
    'ERR_TOKENIZER_MISSING',
    `tokenizer: ${dir} has neither tokenizer.json nor tokenizer.model. Make one in Python: AutoTokenizer.from_pretrained("${dir}").save_pretrained("${dir}")`,
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

/** Text files among `files`; `sources` says where each lies, by its name. tokenizer.json or tokenizer.model must be among them. */
export async function openTexts(files: SourceFiles, sources: ReadonlyMap<string, string>): Promise<TextFiles> {
  const isCopied = (name: string): boolean => name !== SENTENCEPIECE_FILE && name !== SETTINGS_FILES.added;
  const there = [...sources].filter(([name, source]) => isCopied(name) && files.names.has(source));
  const read = (source: string): Promise<Buffer> =>
    readWhole(files, source, MAX_TOKENIZER_BYTES, "Use the model's own file.");
  const tokenizer = there.find(([name]) => name === 'tokenizer.json')?.[1];
  const made = tokenizer === undefined ? await makeTokenizer(files, sources) : undefined;
  const label = files.label(tokenizer ?? (sources.get(SENTENCEPIECE_FILE) as string));
  const names = there.map(([name]) => name);
  return {
    label,
    names: made === undefined ? names : ['tokenizer.json', ...names],
    tokens: countTokens(made ?? (await read(tokenizer as string)).toString('utf8'), label),
    async writeTo(dir) {
      for (const [name, source] of there) await writeFile(await placeFor(dir, name), await read(source));
      if (made !== undefined) await writeFile(join(dir, 'tokenizer.json'), made);
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
