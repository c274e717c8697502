import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LLMError } from '../../base/errors.js';
import { listDirectory } from '../../base/file-errors.js';
import { type JsonContext, type JsonFields, readJsonIfThere } from '../../base/json.js';
import { DTYPES, type Dtype } from '../directory/checkpoint-config.js';
import { readGeneration, readTokenizerText } from '../directory/generation-config.js';
import { parseModel } from './huggingface-config.js';
import { parseSourceQuantization } from './quantization-config.js';
import { readQuantizedTensors } from './quantized-tensors.js';
import { dtypeOfName, SafetensorsFile } from './safetensors.js';
import type { SourceCheckpoint } from './source.js';
import { StoredTensor } from './stored-tensor.js';
import { type ModelTexts, SENTENCEPIECE_FILE, type TextFiles, textsBeside } from './text-files.js';

const SINGLE_FILE = 'model.safetensors';
const INDEX_FILE = 'model.safetensors.index.json';
const MAX_INDEX_BYTES = 64 << 20; // that of a model of 100,000 tensors has 10 MB

/**
 * Opens a Hugging Face directory: `config.json` of transformers 4 or 5, and safetensors, in one file or in shards.
 * @param texts the tokenizer and what goes with it, instead of the directory's own.
 */
export async function openHuggingFace(dir: string, texts?: TextFiles): Promise<SourceCheckpoint> {
  const names = await listDirectory(dir);
  const config = await readJsonIfThere(contextOf(dir, 'config.json'));
  if (!config) {
    const fix = 'Pass a Hugging Face model directory or a .gguf file.';
    throw new LLMError('ERR_SOURCE_INVALID', `${dir} has no config.json. ${fix}`);
  }
  const model = parseModel(config);
  const modelOpt = await readJsonIfThere(contextOf(dir, 'hf_quant_config.json'));
  const format = parseSourceQuantization(config, modelOpt);
  const modelTexts = texts ?? (await ownTexts(dir, names, model.vocab_size));
  const files = await openFiles(dir, names);
  const close = async (): Promise<void> => {
    await Promise.all(files.map((file) => file.close()));
  };
  try {
    const stored = withModelPrefix(
      files.flatMap((file) => [...file.entries].map(([name, entry]) => new StoredTensor(name, file, entry))),
    );
    const writeTexts = async (out: string): Promise<void> => {
      await modelTexts.writeTo(out);
      if (!modelTexts.names.includes('generation_config.json')) await writeGenerationConfig(config, out);
    };
    const source = { kind: 'huggingface', path: dir, dtype: autoDtype(config, files), writeTexts, close } as const;
    if (!format) return { ...source, model, tensors: stored };
    const { quantization, ...quantized } = await readQuantizedTensors(stored, format, model);
    if (LLMError.is(quantization)) return { ...source, ...quantized, model, cannotKeep: quantization };
    return { ...source, ...quantized, model: { ...model, quantization } };
  } catch (error) {
    await close();
    throw error;
  }
}

const contextOf = (dir: string, name: string): JsonContext => ({
  file: join(dir, name),
  code: 'ERR_SOURCE_INVALID',
  fix: 'Correct it in the file, or use another checkpoint of the model.',
});

/** The checkpoint's own type; float32 becomes float16, as TensorRT-LLM's converter has it. */
function autoDtype(config: JsonFields, files: readonly SafetensorsFile[]): Dtype {
  const name = config.has('dtype') ? 'dtype' : 'torch_dtype';
  const names = ['model.embed_tokens.weight', 'embed_tokens.weight'];
  const embedding = files.flatMap((file) => names.flatMap((each) => file.entries.get(each) ?? []))[0];
  const dtype = config.oneOf(name, DTYPES, { fallback: (embedding && dtypeOfName(embedding.dtype)) ?? 'float16' });
  return dtype === 'float32' ? 'float16' : dtype;
}

/** A model saved without its head names its tensors without `model.`; transformers adds it. */
function withModelPrefix(tensors: readonly StoredTensor[]): ReadonlyMap<string, StoredTensor> {
  const hasPrefix = tensors.some(({ name }) => name.startsWith('model.'));
  const isInModel = (name: string): boolean => /^(embed_tokens|layers|norm|rotary_emb)\./.test(name);
  return new Map(
    tensors.map((tensor) => [!hasPrefix && isInModel(tensor.name) ? `model.${tensor.name}` : tensor.name, tensor]),
  );
}

async function ownTexts(dir: string, names: readonly string[], vocabSize: number): Promise<ModelTexts> {
  checkTokenizer(dir, names);
  const texts = await textsBeside(dir, names);
  await checkLoad(dir, names, vocabSize);
  return texts;
}

function checkTokenizer(dir: string, names: readonly string[]): void {
  if (['tokenizer.json', SENTENCEPIECE_FILE].some((name) => names.includes(name))) return;
  if (!names.includes('vocab.json')) return;
  const fix = `Make one in Python: AutoTokenizer.from_pretrained("${dir}").save_pretrained("${dir}")`;
  throw new LLMError('ERR_TOKENIZER_MISSING', `${dir} has vocab.json; expected tokenizer.json. ${fix}`);
}

/** Reads the texts as a load of the engine will, so that what is converted can be loaded. */
async function checkLoad(dir: string, names: readonly string[], vocabSize: number): Promise<void> {
  try {
    const { specialTokens } = await readTokenizerText(dir);
    const tokenizerPath = names.includes('tokenizer.json') ? join(dir, 'tokenizer.json') : undefined;
    await readGeneration(dir, vocabSize, { tokenizerPath, eosToken: specialTokens.eos_token });
  } catch (error) {
    if (!LLMError.is(error)) throw error;
    throw new LLMError('ERR_SOURCE_INVALID', error.message, { cause: error });
  }
}

async function openFiles(dir: string, names: readonly string[]): Promise<SafetensorsFile[]> {
  if (names.includes(SINGLE_FILE)) return [await SafetensorsFile.open(join(dir, SINGLE_FILE))];
  const index = await readJsonIfThere(contextOf(dir, INDEX_FILE), MAX_INDEX_BYTES);
  if (!index) {
    const fix = 'Save the model as safetensors: model.save_pretrained(DIR, safe_serialization=True)';
    throw new LLMError('ERR_SOURCE_INVALID', `${dir} has neither ${SINGLE_FILE} nor ${INDEX_FILE}. ${fix}`);
  }
  return openShards(dir, index.child('weight_map'));
}

async function openShards(dir: string, map: JsonFields): Promise<SafetensorsFile[]> {
  const fileOf = new Map(Object.keys(map.object).map((tensor) => [tensor, map.string(tensor)]));
  const files: SafetensorsFile[] = [];
  try {
    for (const name of new Set(fileOf.values())) {
      if (/[/\\]/.test(name)) {
        const { file, fix } = map.context;
        throw new LLMError('ERR_SOURCE_INVALID', `${file} names the file "${name}"; expected a file beside it. ${fix}`);
      }
      files.push(await SafetensorsFile.open(join(dir, name)));
    }
    for (const [tensor, name] of fileOf) {
      const holders = files.filter((file) => file.entries.has(tensor)).map((file) => file.path);
      if (holders.length === 1 && holders[0] === join(dir, name)) continue;
      if (holders.length === 0 && tensor === 'lm_head.weight') continue; // tied, or the plan says that it is missing
      throw map.error(
        tensor,
        holders.length === 0 ? 'a file that holds it; none does' : `what is true: it is in ${holders.join(', ')}`,
      );
    }
    return files;
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
}

/** Where the model has none, its config.json says which tokens begin and end a text. */
async function writeGenerationConfig(config: JsonFields, out: string): Promise<void> {
  const ids = ['bos_token_id', 'eos_token_id', 'pad_token_id']
    .filter((name) => [config.object[name]].flat().every(Number.isInteger))
    .map((name) => [name, config.object[name]]);
  if (ids.length === 0) return;
  await writeFile(join(out, 'generation_config.json'), `${JSON.stringify(Object.fromEntries(ids), null, 2)}\n`);
}
