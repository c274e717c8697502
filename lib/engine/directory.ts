import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LLMError, messageOf } from '../errors.js';
import { pathOf } from './arguments.js';
import { type EngineConfig, parseEngineConfig } from './checkpoint-config.js';
import { type GenerationDefaults, readGeneration, readTokenizerText } from './generation-config.js';
import { isNotFound, readJsonIfThere } from './json.js';
import { type Manifest, readManifest } from './manifest.js';

/** What an engine directory holds: read once and checked, before an executor touches it. */
export interface EngineDirectory {
  /** Absolute. */
  readonly path: string;
  readonly config: EngineConfig;
  /** `'checkpoint'`: rankN.safetensors, for the embedded executors; `'tensorrt'`: rankN.engine, for TensorRT-LLM. */
  readonly weights: 'checkpoint' | 'tensorrt';
  /** Absolute paths, in the order of ranks. */
  readonly rankFiles: readonly string[];
  /** Undefined for a directory that another tool made. */
  readonly manifest: Manifest | undefined;
  /** Absolute path of tokenizer.json; undefined where there is none, and the engine takes and gives tokens only. */
  readonly tokenizerPath: string | undefined;
  /** Jinja source; undefined where there is none. */
  readonly chatTemplate: string | undefined;
  /** The tokens' own text, as a chat template takes it. */
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  /** Tokens that end an output; empty where no file names one. */
  readonly endIds: readonly number[];
  readonly bosId: number | undefined;
  readonly padId: number | undefined;
  readonly generation: GenerationDefaults;
}

/**
 * Reads and checks an engine directory; the weights themselves are the executor's to check.
 * @throws {LLMError} `ERR_ENGINE_NOT_FOUND`, `ERR_ENGINE_CONFIG`, `ERR_ENGINE_RANKS`, `ERR_ENGINE_WEIGHTS` for a rank file of
 *   another size than the manifest says, `ERR_MODEL_UNSUPPORTED`, `ERR_TOKENIZER_INVALID` for a damaged tokenizer_config.json.
 */
export async function openEngine(dir: string | URL): Promise<EngineDirectory> {
  const path = pathOf('dir', dir);
  const names = await listEngine(path);
  const [config, manifest] = await Promise.all([readConfig(path), readManifest(path)]);
  const { weights, files } = chooseRankFiles(path, names, config.pretrained_config.mapping.world_size);
  if (manifest) await checkSizes(path, files, manifest);
  const tokenizerPath = names.includes('tokenizer.json') ? join(path, 'tokenizer.json') : undefined;
  const text = await readTokenizerText(path);
  const generation = await readGeneration(path, config.pretrained_config.vocab_size, {
    tokenizerPath,
    eosToken: text.eosToken,
  });
  return {
    path,
    config,
    weights,
    rankFiles: files.map((name) => join(path, name)),
    manifest,
    tokenizerPath,
    ...text,
    ...generation,
  };
}

async function listEngine(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (cause) {
    const found = isNotFound(cause) ? 'is no directory' : `cannot be read: ${messageOf(cause)}`;
    const mend = 'Give an engine directory; npx node-tensorrt-llm pull makes one and prints its path.';
    throw new LLMError('ERR_ENGINE_NOT_FOUND', `${path} ${found}. ${mend}`, { cause });
  }
}

async function readConfig(path: string): Promise<EngineConfig> {
  const file = join(path, 'config.json');
  const mend = `Mend the file, or convert the model again: npx node-tensorrt-llm convert SOURCE ${path}`;
  const fields = await readJsonIfThere({ file, code: 'ERR_ENGINE_CONFIG', mend });
  if (!fields) {
    throw new LLMError(
      'ERR_ENGINE_CONFIG',
      `${path} has no config.json, so it is no engine directory. Make one: npx node-tensorrt-llm convert SOURCE OUT`,
    );
  }
  if (fields.has('model_type') && !fields.has('pretrained_config')) {
    throw new LLMError(
      'ERR_ENGINE_CONFIG',
      `${path} is a Hugging Face checkpoint; expected an engine directory. Convert it: npx node-tensorrt-llm convert ${path} OUT`,
    );
  }
  return parseEngineConfig(fields);
}

const RANK_FILE = /^rank\d+\.(safetensors|engine)$/;

function chooseRankFiles(
  path: string,
  names: readonly string[],
  worldSize: number,
): Pick<EngineDirectory, 'weights'> & { files: string[] } {
  const found = names.filter((name) => RANK_FILE.test(name)).sort();
  const weights = found.some((name) => name.endsWith('.engine')) ? 'tensorrt' : 'checkpoint';
  const extension = weights === 'tensorrt' ? 'engine' : 'safetensors';
  const files = Array.from({ length: worldSize }, (_, rank) => `rank${rank}.${extension}`);
  const present = found.filter((name) => name.endsWith(extension));
  if (present.length !== worldSize || !files.every((name) => present.includes(name))) {
    throw wrongRanks(path, present, files);
  }
  return { weights, files };
}

const wrongRanks = (dir: string, found: readonly string[], needed: readonly string[]): LLMError =>
  new LLMError(
    'ERR_ENGINE_RANKS',
    `${dir} holds ${found.join(', ') || 'no rank file'}; its config.json (tp_size * pp_size * cp_size) needs ${needed.join(', ')}. ` +
      `Copy the missing files into it, or convert the model again: npx node-tensorrt-llm convert SOURCE ${dir}`,
  );

async function checkSizes(path: string, files: readonly string[], manifest: Manifest): Promise<void> {
  for (const name of files) {
    const expected = manifest.files[name]?.bytes;
    if (expected === undefined) continue;
    const facts = await stat(join(path, name)).catch(() => undefined);
    if (facts?.size !== expected) {
      const found = facts ? `has ${facts.size} bytes` : 'cannot be read';
      const mend = `Copy it again, or convert the model again: npx node-tensorrt-llm convert SOURCE ${path}`;
      throw new LLMError(
        'ERR_ENGINE_WEIGHTS',
        `${join(path, name)} ${found}; the manifest says ${expected} bytes. ${mend}`,
      );
    }
  }
}
