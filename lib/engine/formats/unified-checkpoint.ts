import { join } from 'node:path';
import { LLMError } from '../../base/errors.js';
import { listDirectory } from '../../base/file-errors.js';
import type { JsonFields } from '../../base/json.js';
import { parseEngineConfig } from '../directory/checkpoint-config.js';
import { safetensorsTensor } from './huggingface.js';
import { SafetensorsFile } from './safetensors.js';
import type { SourceCheckpoint } from './source.js';
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
  if (model.quantization.quant_algo !== null) {
    const pretrained = config.has('pretrained_config') ? config.child('pretrained_config') : config;
    throw pretrained
      .child('quantization')
      .error('quant_algo', 'null: quantized checkpoints are not converted yet', 'ERR_MODEL_UNSUPPORTED');
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
  return {
    kind: 'checkpoint',
    path: dir,
    model,
    dtype: dtype === 'float32' ? 'float16' : dtype,
    tensors: new Map([...file.entries].map(([name, entry]) => [name, safetensorsTensor(file, name, entry)])),
    writeTexts: (out) => modelTexts.writeTo(out),
    close: () => file.close(),
  };
}
