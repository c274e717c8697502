import type { Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LLMError, messageOf } from '../../base/errors.js';
import { isNotFound, requirePermission } from '../../base/file-errors.js';
import { readJsonIfThere } from '../../base/json.js';
import { openGguf } from './gguf-checkpoint.js';
import { partNames } from './gguf-parts.js';
import { openHuggingFace } from './huggingface.js';
import { NEMO_TO_HUGGING_FACE, NEMO_WEIGHTS, openNemo } from './nemo.js';
import { NEMO_CONFIG } from './nemo-config.js';
import { openSource, readExactly, type SourceCheckpoint } from './source.js';
import { checkLink, openDirectoryFiles, openTarFiles, type SourceFiles } from './source-files.js';
import { isTarHeader } from './tar.js';
import { openTokenizerDirectory, type TextFiles } from './text-files.js';
import { openUnifiedCheckpoint } from './unified-checkpoint.js';

const READ =
  'a Hugging Face directory, a NeMo checkpoint (.nemo, or its directory), a .gguf file, or an engine directory';

/**
 * Opens a checkpoint of any supported kind; its content decides which, not its name. Pickles are never read, because reading one
 * runs the program in it.
 * @param tokenizer directory of a tokenizer to use instead of the source's own.
 */
export async function openCheckpoint(path: string, tokenizer?: string): Promise<SourceCheckpoint> {
  const facts = await readFacts(path).catch((cause: unknown) => {
    const found = isNotFound(cause) ? 'does not exist' : `cannot be read: ${messageOf(cause)}`;
    throw new LLMError('ERR_SOURCE_NOT_FOUND', `${path} ${found}; expected ${READ}. Check the path.`, { cause });
  });
  if (!facts.isDirectory() && !facts.isFile()) {
    throw new LLMError('ERR_SOURCE_NOT_FOUND', `${path} is neither a file nor a directory; expected ${READ}.`);
  }
  const texts = tokenizer === undefined ? undefined : await openTokenizerDirectory(tokenizer);
  const source = facts.isDirectory() ? await openDirectory(path, texts) : await openFile(path, texts);
  const { vocab_size } = source.model;
  if (!texts || texts.tokens <= vocab_size) return source;
  await source.close();
  throw new LLMError(
    'ERR_TOKENIZER_INVALID',
    `${texts.label} has ${texts.tokens} tokens; expected at most the ${vocab_size} of the model. Pass the model's own tokenizer.`,
    { option: 'tokenizer' },
  );
}

async function readFacts(path: string): Promise<Stats> {
  requirePermission('fs.read', path);
  return stat(path);
}

async function openDirectory(dir: string, texts: TextFiles | undefined): Promise<SourceCheckpoint> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((cause: unknown) => {
    throw new LLMError('ERR_SOURCE_NOT_FOUND', `${dir} cannot be read: ${messageOf(cause)}. Check its permissions.`, {
      cause,
    });
  });
  const names = entries.map(({ name }) => name).sort();
  for (const entry of entries) {
    if (entry.isSymbolicLink() && READ_FILES.test(entry.name)) await checkLink(dir, join(dir, entry.name));
  }
  const config = await readJsonIfThere({
    file: join(dir, 'config.json'),
    code: 'ERR_SOURCE_INVALID',
    fix: 'Correct the file, or use another checkpoint of the model.',
  });
  if (config && (config.has('pretrained_config') || config.has('architecture'))) {
    return openUnifiedCheckpoint(dir, config, texts);
  }
  const refusal = refusalOf(dir, names);
  const gguf = onlyGguf(names);
  const hasSafetensors = names.some((name) => name.endsWith('.safetensors'));
  if (config && (hasSafetensors || !(refusal || gguf))) return openHuggingFace(dir, texts);
  if (names.includes(NEMO_CONFIG) && (names.includes(NEMO_WEIGHTS) || !refusal)) {
    return openNemoFiles(await openDirectoryFiles(dir, [NEMO_WEIGHTS]), texts);
  }
  if (gguf !== undefined) return openGguf(join(dir, gguf), texts);
  throw (
    refusal ??
    new LLMError(
      'ERR_SOURCE_NOT_FOUND',
      `${dir} holds ${listed(names)}; expected ${READ}: config.json with .safetensors files, or ${NEMO_CONFIG} with ${NEMO_WEIGHTS}. Check the path.`,
    )
  );
}

/** The GGUF file of a directory that holds one model of the kind, or its first part. */
function onlyGguf(names: readonly string[]): string | undefined {
  const [first, ...more] = names.filter(isGguf);
  const parts = first === undefined ? undefined : partNames(first);
  return more.every((name) => parts?.includes(name)) ? first : undefined;
}

const isGguf = (name: string): boolean => name.endsWith('.gguf');

const READ_FILES = /\.(safetensors|json|jinja|yaml|gguf)$/;

const listed = (names: readonly string[]): string =>
  names.length === 0
    ? 'nothing'
    : names.slice(0, 8).join(', ') + (names.length > 8 ? `, and ${names.length - 8} more` : '');

async function openNemoFiles(files: SourceFiles, texts: TextFiles | undefined): Promise<SourceCheckpoint> {
  try {
    if (files.names.has(NEMO_CONFIG)) return await openNemo(files, texts);
    throw new LLMError(
      'ERR_SOURCE_NOT_FOUND',
      `${files.path} is a tar archive of ${listed([...files.names])}; expected a NeMo checkpoint, with ${NEMO_CONFIG}. ` +
        'Unpack it if it holds a model of another kind, and pass its directory.',
    );
  } catch (error) {
    await files.close();
    throw error;
  }
}

/** For formats that are recognized by the names in their directory, but not read: what was found, and the way around. */
function refusalOf(dir: string, names: readonly string[]): LLMError | undefined {
  const find = (pattern: RegExp): string | undefined => names.find((name) => pattern.test(name));
  const unsupported = (found: string, fix: string): LLMError =>
    new LLMError('ERR_MODEL_UNSUPPORTED', `${dir} ${found}; expected ${READ}. ${fix}`);

  const consolidated = find(/^consolidated\..*(pth|safetensors)$/);
  if (names.includes('params.json') && consolidated !== undefined) {
    const maker = consolidated.endsWith('.pth') ? 'Meta' : 'Mistral';
    return unsupported(
      `holds ${consolidated} and params.json, ${maker}'s own format`,
      'Download the same model in the Hugging Face format, or convert it with the script of transformers, convert_' +
        `${maker === 'Meta' ? 'llama' : 'mistral'}_weights_to_hf.py.`,
    );
  }
  const distributed = find(/\.distcp$/);
  if (distributed !== undefined) {
    return unsupported(`holds ${distributed}, a checkpoint in the format torch_dist`, NEMO_TO_HUGGING_FACE);
  }
  if (names.includes('context') && names.includes('weights')) {
    return unsupported(
      'holds context and weights, a checkpoint of NeMo 2 in the format torch_dist',
      'Export it in Python, nemo.collections.llm.export_ckpt(DIR, target="hf"), and pass what that writes.',
    );
  }
  const rank = find(/^(mp_rank|tp_rank)_\d+/) ?? find(/\.ckpt$/);
  if (rank !== undefined) return unsupported(`holds ${rank}, weights as pickles`, NEMO_TO_HUGGING_FACE);
  const pickle = find(/\.(bin|pt|pth)$/);
  if (pickle !== undefined) {
    return unsupported(
      `holds ${pickle}, weights as a pickle, which is never read because it can run code`,
      'Save the model as safetensors in Python: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT, safe_serialization=True)',
    );
  }
  const lookIn = (found: string, where: string): LLMError =>
    new LLMError('ERR_SOURCE_NOT_FOUND', `${dir} holds ${found}. Pass ${where}.`);
  if (names.includes('blobs') && names.includes('snapshots')) {
    return lookIn(
      'blobs and snapshots, a model in the Hugging Face cache',
      `a snapshot of it: ${join(dir, 'snapshots', 'REVISION')}`,
    );
  }
  const file = find(/\.nemo$/);
  if (file !== undefined && !names.includes(NEMO_CONFIG)) return lookIn(file, `the file: ${join(dir, file)}`);
  const models = names.filter(isGguf);
  if (onlyGguf(names) === undefined && models.length > 0) return lookIn(listed(models), 'the file of one model');
  const tensor = find(/^model\..*word_embeddings\.weight$/);
  return tensor === undefined
    ? undefined
    : lookIn(`${tensor}, the weights of a NeMo checkpoint`, `the directory with ${NEMO_CONFIG}`);
}

/** As people upload files that are too large for the hub, cut anywhere: no part of such a file can be read by itself. */
const PIECE_NAME = /\.gguf(\.part\d+of\d+|-split-[a-z])$/;
const HEAD_BYTES = 512;
const PICKLE_PROTOCOLS = [2, 3, 4, 5];

async function openFile(path: string, texts: TextFiles | undefined): Promise<SourceCheckpoint> {
  const head = await readHead(path);
  const startsWith = (...bytes: number[]): boolean => bytes.every((byte, i) => head[i] === byte);
  if (PIECE_NAME.test(path)) {
    throw new LLMError(
      'ERR_SOURCE_INVALID',
      `${path} is a piece of a file that was cut up, by its name; expected the whole. Join the pieces in their order: cat PIECE_1 PIECE_2 > MODEL.gguf`,
    );
  }
  if (startsWith(0x47, 0x47, 0x55, 0x46)) return openGguf(path, texts);
  if (isTarHeader(head)) return openNemoFiles(await openTarFiles(path), texts);
  const unsupported = (found: string, fix: string): LLMError =>
    new LLMError('ERR_MODEL_UNSUPPORTED', `${path} is ${found}; expected ${READ}. ${fix}`);
  if (startsWith(0x1f, 0x8b)) {
    throw unsupported(
      'compressed with gzip, which cannot be read in place',
      `Unpack it, tar -xzf ${path} -C DIR, and pass DIR.`,
    );
  }
  if (startsWith(0x50, 0x4b, 3, 4) || (startsWith(0x80) && PICKLE_PROTOCOLS.includes(head[1] ?? 0))) {
    throw unsupported(
      'a PyTorch file (a pickle), which is never read because it can run code',
      'Pass the model in the Hugging Face format, as safetensors.',
    );
  }
  if (head[8] === 0x7b && head.length > 8 && head[6] === 0 && head[7] === 0) {
    throw new LLMError(
      'ERR_SOURCE_NOT_FOUND',
      `${path} is a safetensors file alone. Pass the directory that also holds its config.json.`,
    );
  }
  if (Buffer.from(head).toString('latin1').startsWith('version https://git-lfs')) {
    throw new LLMError(
      'ERR_SOURCE_INVALID',
      `${path} is a Git LFS pointer; expected the file it stands for. Run git lfs pull.`,
    );
  }
  if (path.endsWith('.gguf')) return openGguf(path, texts); // its reader says what is wrong
  const start =
    head.length === 0 ? 'is empty' : `starts with the bytes ${Buffer.from(head.subarray(0, 8)).toString('hex')}`;
  throw new LLMError('ERR_SOURCE_NOT_FOUND', `${path} ${start}, no known format; expected ${READ}. Check the path.`);
}

async function readHead(path: string): Promise<Uint8Array> {
  const handle = await openSource(path);
  try {
    const { size } = await handle.stat();
    return await readExactly(handle, path, 0, Math.min(size, HEAD_BYTES));
  } finally {
    await handle.close();
  }
}
