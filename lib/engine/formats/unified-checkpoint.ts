import { join } from 'node:path';
import { LLMError } from '../../base/errors.js';
import { listDirectory } from '../../base/file-errors.js';
import type { JsonFields } from '../../base/json.js';
import { type PretrainedConfig, parseEngineConfig } from '../directory/checkpoint-config.js';
import { BLOCK_TYPES } from '../directory/quantization.js';
import { BLOCKS, isBlockType } from './ggml-blocks.js';
import { readEngineTensors } from './quantized-tensors.js';
import { type SafetensorsEntry, SafetensorsFile } from './safetensors.js';
import { convertBlocks, type LlamaModel, readExactly, type SourceCheckpoint, type SourceTensor } from './source.js';
import { StoredTensor } from './stored-tensor.js';
import { type TextFiles, textsBeside } from './text-files.js';

const RANK_FILE = 'rank0.safetensors';

/** Opens an engine directory, or a checkpoint of TensorRT-LLM's own converter, of one rank; `config` is its config.json. */
export async function openUnifiedCheckpoint(
  dir: string,
  config: JsonFields,
  texts: TextFiles | undefined,
): Promise<SourceCheckpoint> {
  const { dtype, mapping, ...model } = parseEngineConfig(config).pretrained_config;
  const names = await listDirectory(dir);
  const { world_size } = mapping;
  if (world_size !== 1) {
    const fix =
      'Make it again for one: convert_checkpoint.py without --tp_size and --pp_size, or convert the original model.';
    throw new LLMError('ERR_MODEL_UNSUPPORTED', `${dir} is a checkpoint of ${world_size} ranks; expected one. ${fix}`);
  }
  if (!names.includes(RANK_FILE)) {
    throw new LLMError(
      'ERR_SOURCE_INVALID',
      `${dir} has a checkpoint's config.json but no ${RANK_FILE}; expected the weights in it, which a TensorRT engine ` +
        'does not give back. Convert the checkpoint that the engine was built from, or the original model.',
    );
  }
  const modelTexts = texts ?? (await textsBeside(dir, names));
  const file = await SafetensorsFile.open(join(dir, RANK_FILE));
  try {
    return {
      kind: 'checkpoint',
      path: dir,
      model,
      dtype: dtype === 'float32' ? 'float16' : dtype,
      tensors: await readTensors(file, model),
      writeTexts: (out) => modelTexts.writeTo(out),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readTensors(
  file: SafetensorsFile,
  model: LlamaModel & Pick<PretrainedConfig, 'quantization'>,
): Promise<ReadonlyMap<string, SourceTensor>> {
  const stored = new Map([...file.entries].map(([name, entry]) => [name, new StoredTensor(name, file, entry)]));
  if (model.quantization.quant_algo !== 'GGML') return readEngineTensors(stored, model);
  const isInBlocks = ({ entry }: StoredTensor): boolean => entry.dtype === 'U8';
  return new Map(
    [...stored].map(([name, tensor]) => [name, isInBlocks(tensor) ? blocksTensor(file, name, tensor.entry) : tensor]),
  );
}

/** A matrix in ggml's blocks, as `Quantization` describes it. */
function blocksTensor(file: SafetensorsFile, name: string, { shape, position }: SafetensorsEntry): SourceTensor {
  const type = file.metadata.get(name) ?? '';
  const [rows, rowBytes, ...more] = shape;
  const refuse = (found: string, expected: string): LLMError =>
    new LLMError(
      'ERR_SOURCE_INVALID',
      `${file.path}: ${name} ${found}; expected ${expected}. Convert the original model again.`,
    );
  if (!isBlockType(type)) {
    const found = type === '' ? 'is U8 without a type in __metadata__' : `is ${type}, by __metadata__`;
    throw refuse(found, BLOCK_TYPES.join(' or '));
  }
  const { values, bytes } = BLOCKS[type];
  if (rows === undefined || rowBytes === undefined || more.length > 0 || rowBytes % bytes !== 0) {
    throw refuse(`has the shape [${shape.join(', ')}]`, `rows of whole blocks of ${bytes} bytes, of ${type}`);
  }
  return {
    shape: [rows, (rowBytes / bytes) * values],
    file: file.path,
    type,
    async readRows(first, count, dtype) {
      const stored = await readExactly(file.handle, file.path, position + first * rowBytes, count * rowBytes);
      return dtype === undefined ? stored : convertBlocks(stored, type, dtype, `${file.path}: ${name}`);
    },
    placeOfRows(first, count, dtype) {
      const place = {
        handle: file.handle,
        file: file.path,
        position: position + first * rowBytes,
        bytes: count * rowBytes,
      };
      return dtype === undefined ? place : undefined;
    },
  };
}
