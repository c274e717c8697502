import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LLMError, messageOf } from '../../base/errors.js';
import { fixOf, isNotFound, listDirectory } from '../../base/file-errors.js';
import { checkFile } from '../../base/files.js';
import type { GenerationDefaults } from '../../base/generation-defaults.js';
import { type JsonFields, readJsonIfThere } from '../../base/json.js';
import { pathOf } from '../../base/paths.js';
import type { ChatTemplates } from './chat-templates.js';
import { type EngineConfig, lacksOnCuda, parseEngineConfig } from './checkpoint-config.js';
import { readGeneration, readTokenizerText } from './generation-config.js';
import { type Manifest, readManifest } from './manifest.js';
import { type ModelFacts, readTensorRtConfig } from './tensorrt-config.js';

/** `'checkpoint'`: rankN.safetensors, for the embedded executors; `'tensorrt'`: rankN.engine, for TensorRT-LLM. */
export type Weights = 'checkpoint' | 'tensorrt';

/** What an engine directory holds: read once and checked, before an executor touches it. */
export interface EngineDirectory {
  /** Absolute. */
  readonly path: string;
  /** The model's, as Hugging Face names it: `'LlamaForCausalLM'`. */
  readonly architecture: string;
  readonly vocabSize: number;
  readonly weights: Weights;
  /** Of a checkpoint: what its config.json says. */
  readonly config: EngineConfig | undefined;
  /** What of a checkpoint's model the CUDA executor does not compute; undefined if it computes all of it. */
  readonly lacksOnCuda: string | undefined;
  /** Absolute paths, in the order of ranks; none where the weights are not read. */
  readonly rankFiles: readonly string[];
  /** Undefined for a directory that another tool made. */
  readonly manifest: Manifest | undefined;
  /** Absolute path of tokenizer.json; undefined if there is none; then the engine takes and returns only tokens. */
  readonly tokenizerPath: string | undefined;
  /** None if the model has none; one without a name is `default`. */
  readonly chatTemplates: ChatTemplates;
  /** The tokens' own text by their names, `bos_token` and others, as a chat template takes them. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** Whether a text gets the begin and the end token; undefined: as tokenizer.json says. */
  readonly addBosToken: boolean | undefined;
  readonly addEosToken: boolean | undefined;
  /** `response_template` of tokenizer_config.json, not checked yet. */
  readonly responseTemplate: unknown;
  /** Tokens that end an output; empty if no file has one. */
  readonly endIds: readonly number[];
  readonly generation: GenerationDefaults;
}

export interface EngineNeeds {
  /** What the executor runs. Default: engines where there are some, else the checkpoint. */
  readonly weights?: Weights | undefined;
  /** Whether a checkpoint's weights are read; without, the directory need not hold them. Default: `'needed'`. */
  readonly files?: 'needed' | 'not-needed' | undefined;
}

/**
 * Reads and checks an engine directory. The executor checks the weights, and what is not used here of a TensorRT engine's
 * config.json.
 * @throws {LLMError} `ERR_ENGINE_NOT_FOUND`, `ERR_ENGINE_CONFIG`, `ERR_ENGINE_RANKS`, `ERR_ENGINE_WEIGHTS` for a rank file of
 *   another size than the manifest says, `ERR_EXECUTOR_UNAVAILABLE` if there are only weights of the other kind,
 *   `ERR_MODEL_UNSUPPORTED`, `ERR_TOKENIZER_INVALID` for a damaged tokenizer_config.json.
 */
export async function openEngine(dir: string | URL, needs: EngineNeeds = {}): Promise<EngineDirectory> {
  const path = pathOf('dir', dir);
  const names = await listEngine(path);
  const weights = needs.weights ?? (hasWeights(names, 'tensorrt') ? 'tensorrt' : 'checkpoint');
  const [config, manifest] = await Promise.all([readConfig(path, weights), readManifest(path)]);
  const reads = weights === 'tensorrt' || needs.files !== 'not-needed';
  if (reads) checkWeights(path, names, weights);
  const model = weights === 'tensorrt' ? readTensorRtConfig(config) : readCheckpointConfig(config);
  const files = reads ? rankFiles(path, names, weights, model.worldSize) : [];
  await Promise.all(files.map((name) => checkRankFile(join(path, name))));
  if (manifest) await checkSizes(path, files, manifest);
  const tokenizerPath = names.includes('tokenizer.json') ? join(path, 'tokenizer.json') : undefined;
  const text = await readTokenizerText(path);
  const generation = await readGeneration(path, model.vocabSize, {
    tokenizerPath,
    eosToken: text.specialTokens.eos_token,
  });
  return {
    path,
    architecture: model.architecture,
    vocabSize: model.vocabSize,
    weights,
    config: model.config,
    // Of the types of its weights only the manifest knows.
    lacksOnCuda:
      (model.config && lacksOnCuda(model.config)) ??
      (manifest && !manifest.executors.includes('cuda') ? 'what its manifest leaves to other executors' : undefined),
    rankFiles: files.map((name) => join(path, name)),
    manifest,
    tokenizerPath,
    ...text,
    ...generation,
  };
}

async function listEngine(path: string): Promise<string[]> {
  try {
    return await listDirectory(path);
  } catch (cause) {
    const found = isNotFound(cause) ? 'is not a directory' : `cannot be read: ${messageOf(cause)}`;
    const fix = fixOf(cause, 'Pass an engine directory; npx node-tensorrt-llm pull makes one and prints its path.');
    throw new LLMError('ERR_ENGINE_NOT_FOUND', `${path} ${found}. ${fix}`, { cause });
  }
}

const RANK_FILE = { checkpoint: /^rank\d+\.safetensors$/, tensorrt: /^rank\d+\.engine$/ } as const;
const EXTENSION = { checkpoint: 'safetensors', tensorrt: 'engine' } as const;

const hasWeights = (names: readonly string[], weights: Weights): boolean =>
  names.some((name) => RANK_FILE[weights].test(name));

function checkWeights(path: string, names: readonly string[], weights: Weights): void {
  if (hasWeights(names, weights)) return;
  if (!hasWeights(names, weights === 'tensorrt' ? 'checkpoint' : 'tensorrt')) {
    throw new LLMError(
      'ERR_ENGINE_RANKS',
      `${path} has no rank file; expected rank0.safetensors (a checkpoint) or rank0.engine (from trtllm-build). ` +
        `Copy them into it, or ${makeAgain(path, weights)}`,
    );
  }
  throw new LLMError(
    'ERR_EXECUTOR_UNAVAILABLE',
    weights === 'tensorrt'
      ? `${path} holds a checkpoint (rankN.safetensors); expected a TensorRT engine (rankN.engine), for the executor 'tensorrt-llm'. ` +
          `Build one: trtllm-build --checkpoint_dir ${path} --output_dir ENGINE. Or use executor: 'cpu'.`
      : `${path} holds a TensorRT engine (rankN.engine), which only the executor 'tensorrt-llm' runs; expected a checkpoint ` +
          "(rankN.safetensors). Use executor: 'tensorrt-llm', or load the checkpoint that the engine was built from.",
  );
}

const makeAgain = (path: string, weights: Weights): string =>
  weights === 'tensorrt'
    ? `build the engine again: trtllm-build --checkpoint_dir CHECKPOINT --output_dir ${path}`
    : `convert the model again: npx node-tensorrt-llm convert SOURCE ${path}`;

async function readConfig(path: string, weights: Weights): Promise<JsonFields> {
  const fix = `Fix the file, or ${makeAgain(path, weights)}`;
  const fields = await readJsonIfThere({ file: join(path, 'config.json'), code: 'ERR_ENGINE_CONFIG', fix });
  if (!fields) {
    throw new LLMError(
      'ERR_ENGINE_CONFIG',
      `${path} has no config.json, so it is not an engine directory. Make one: npx node-tensorrt-llm convert SOURCE OUT`,
    );
  }
  if (fields.has('model_type') && !fields.has('pretrained_config')) {
    throw new LLMError(
      'ERR_ENGINE_CONFIG',
      `${path} is a Hugging Face checkpoint; expected an engine directory. Convert it: npx node-tensorrt-llm convert ${path} OUT`,
    );
  }
  return fields;
}

function readCheckpointConfig(fields: JsonFields): ModelFacts {
  const config = parseEngineConfig(fields);
  const { architecture, vocab_size, mapping } = config.pretrained_config;
  return {
    architecture,
    vocabSize: vocab_size,
    worldSize: mapping.world_size,
    config,
  };
}

/** The names of the rank files, in the order of ranks. */
function rankFiles(path: string, names: readonly string[], weights: Weights, worldSize: number): string[] {
  const needed = Array.from({ length: worldSize }, (_, rank) => `rank${rank}.${EXTENSION[weights]}`);
  const found = names.filter((name) => RANK_FILE[weights].test(name)).sort();
  if (found.length === worldSize && needed.every((name) => found.includes(name))) return needed;
  throw new LLMError(
    'ERR_ENGINE_RANKS',
    `${path} holds ${found.join(', ')}; expected ${needed.join(', ')}, by its config.json (tp_size * pp_size * cp_size). ` +
      `Copy the missing files into it and remove those of another engine, or ${makeAgain(path, weights)}`,
  );
}

async function checkRankFile(file: string): Promise<void> {
  await checkFile(file).catch((cause: unknown) => {
    throw new LLMError(
      'ERR_ENGINE_WEIGHTS',
      `${file} cannot be read: ${messageOf(cause)}; expected the weights. Check the file and its permissions.`,
      { cause },
    );
  });
}

async function checkSizes(path: string, files: readonly string[], manifest: Manifest): Promise<void> {
  for (const name of files) {
    const expected = manifest.files[name]?.bytes;
    if (expected === undefined) continue;
    const facts = await stat(join(path, name)).catch(() => undefined);
    if (facts?.size !== expected) {
      const found = facts ? `has ${facts.size} bytes` : 'cannot be read';
      const fix = `Copy it again, or convert the model again: npx node-tensorrt-llm convert SOURCE ${path}`;
      throw new LLMError(
        'ERR_ENGINE_WEIGHTS',
        `${join(path, name)} ${found}; expected ${expected} bytes, by the manifest. ${fix}`,
      );
    }
  }
}
