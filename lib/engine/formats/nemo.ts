import { LLMError } from '../../base/errors.js';
import type { JsonFields } from '../../base/json.js';
import type { Dtype } from '../directory/checkpoint-config.js';
import { isPaddedVocabulary, NEMO_CONFIG, parseNemoModel, readNemoConfig } from './nemo-config.js';
import { missingTensor, nemoTensors } from './nemo-tensors.js';
import type { SourceCheckpoint } from './source.js';
import type { SourceFiles } from './source-files.js';
import { namedTemplatesIn, openTexts, SENTENCEPIECE_FILE, type TextFiles, TOKENIZER_SOURCES } from './text-files.js';
import { openZarr, type ZarrArray } from './zarr.js';

export const NEMO_WEIGHTS = 'model_weights';
export const NEMO_TO_HUGGING_FACE =
  "Convert it with NeMo's scripts/checkpoint_converters/convert_llama_nemo_to_hf.py, and pass the Hugging Face directory.";

/**
 * Opens a NeMo checkpoint: `model_config.yaml`, and `model_weights` in zarr. The caller has opened `files`; `close` closes them.
 * @param texts the tokenizer, where it does not lie in the checkpoint.
 */
export async function openNemo(files: SourceFiles, texts: TextFiles | undefined): Promise<SourceCheckpoint> {
  checkWeights(files);
  const config = await readNemoConfig(files);
  const arrays = await openArrays(files);
  const ownTexts = texts ?? (await textsOf(files, config));
  const embedding = arrays.get('embedding.word_embeddings.weight');
  if (!embedding) throw missingTensor(files.path, 'embedding.word_embeddings.weight');
  const model = parseNemoModel(config, vocabSize(config, ownTexts, embedding));
  return {
    kind: 'nemo',
    path: files.path,
    model,
    dtype: autoDtype(config, embedding.dtype),
    tensors: nemoTensors(files.path, arrays, model),
    writeTexts: (dir) => ownTexts.writeTo(dir),
    close: () => files.close(),
  };
}

/** Other ways to store the weights are pickles, or hold some; those would run as programs, so they are not read. */
function checkWeights(files: SourceFiles): void {
  const names = [...files.names];
  const found = names.find((name) => /\.distcp$|(^|\/)model_weights\.ckpt$/.test(name));
  if (found !== undefined) {
    const kind = found.endsWith('.distcp') ? 'in the format torch_dist (.distcp)' : 'as pickles (.ckpt)';
    throw new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `${files.label(found)} holds weights ${kind}; expected zarr. ${NEMO_TO_HUGGING_FACE}`,
    );
  }
  if (names.some((name) => name.startsWith(`${NEMO_WEIGHTS}/`))) return;
  throw new LLMError(
    'ERR_SOURCE_INVALID',
    `${files.path} has no ${NEMO_WEIGHTS}; expected it beside ${NEMO_CONFIG}. Copy the checkpoint again.`,
  );
}

/** The arrays by their keys, without `model.`, or `model.module.` as some versions have it. */
async function openArrays(files: SourceFiles): Promise<Map<string, ZarrArray>> {
  const arrays = new Map<string, ZarrArray>();
  for (const name of files.names) {
    const [, directory, key] = /^(model_weights\/(?:model\.(?:module\.)?)?([^/]+))\/\.zarray$/.exec(name) ?? [];
    if (directory === undefined || key === undefined || key.includes('_extra_state')) continue;
    arrays.set(key, await openZarr(files, directory, key.startsWith('decoder.layers.') ? 'layers' : 'rows'));
  }
  return arrays;
}

/** Files of NeMo's archives may have the hash of what they were before their names. */
async function textsOf(files: SourceFiles, config: JsonFields): Promise<TextFiles> {
  const find = (wanted: string): string | undefined => {
    const found = [...files.names].filter((name) => name.replace(/^[0-9a-f]{32}_/, '') === wanted);
    return found.includes(wanted) ? wanted : found.length === 1 ? found[0] : undefined;
  };
  const sources = [...TOKENIZER_SOURCES, ...namedTemplatesIn(files)].flatMap((name): [string, string][] => {
    const source = find(name);
    return source === undefined ? [] : [[name, source]];
  });
  if (sources.some(([name]) => name === 'tokenizer.json' || name === SENTENCEPIECE_FILE)) {
    return openTexts(files, new Map(sources));
  }
  const tokenizer = config.child('tokenizer');
  const says = ['library', 'type', 'model'].filter((name) => tokenizer.has(name));
  const named = says.map((name) => `${name} ${tokenizer.object[name]}`).join(', ') || 'nothing';
  throw new LLMError(
    'ERR_TOKENIZER_MISSING',
    `${files.path} has neither tokenizer.json nor tokenizer.model (of the tokenizer, its config says ${named}); expected one. ` +
      "Pass the directory of the model's Hugging Face tokenizer: convert(..., { tokenizer: DIR }), or --tokenizer DIR.",
  );
}

/** NeMo pads the embedding with rows for tokens that do not exist, and leaves the true size to the tokenizer. */
function vocabSize(config: JsonFields, { tokens, label }: TextFiles, embedding: ZarrArray): number {
  const [rows = 0] = embedding.shape;
  if (config.has('override_vocab_size')) {
    const size = config.integer('override_vocab_size', { min: 1 });
    if (size !== rows) throw config.error('override_vocab_size', `the rows of ${embedding.label}, ${rows}`);
    if (tokens <= rows) return rows;
  } else if (isPaddedVocabulary(config, tokens, rows)) return tokens;
  throw new LLMError(
    'ERR_TOKENIZER_INVALID',
    `${label} has ${tokens} tokens, but ${embedding.label} has ${rows} rows, which is not that number padded as NeMo does. ` +
      'Use the tokenizer that the model was trained with.',
  );
}

/** Training in mixed precision stores float32, of which the model computed with what `precision` says. */
function autoDtype(config: JsonFields, stored: Dtype): Dtype {
  if (stored !== 'float32') return stored;
  return String(config.object.precision).startsWith('bf16') ? 'bfloat16' : 'float16';
}
