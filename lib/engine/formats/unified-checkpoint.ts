import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { LLMError } from '../../base/errors.js';
import type { JsonFields } from '../../base/json.js';
import { type PretrainedConfig, parseEngineConfig } from '../directory/checkpoint-config.js';
import { safetensorsTensor } from './huggingface.js';
import { SafetensorsFile } from './safetensors.js';
import { checkText, type LlamaModel, type SourceCheckpoint, type SourceTensor } from './source.js';
import { TEXT_FILES, type TextFiles } from './text-files.js';

const RANK_FILE = 'rank0.safetensors';

/** Opens an engine directory, or a checkpoint of TensorRT-LLM's own converter, of one rank; `config` is its config.json. */
export async function openUnifiedCheckpoint(
  dir: string,
  config: JsonFields,
  texts: TextFiles | undefined,
): Promise<SourceCheckpoint> {
  const pretrained = parseEngineConfig(config).pretrained_config;
  const names = await readdir(dir);
  const { world_size } = pretrained.mapping;
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
  const copied = texts ? [] : TEXT_FILES.filter((name) => names.includes(name));
  for (const name of copied) await checkText(join(dir, name)); // copyFile would wait for the writer of a pipe
  const file = await SafetensorsFile.open(join(dir, RANK_FILE));
  return {
    kind: 'checkpoint',
    path: dir,
    model: modelOf(pretrained),
    dtype: pretrained.dtype === 'float32' ? 'float16' : pretrained.dtype,
    tensors: new Map(
      [...file.entries].flatMap(([name, entry]) =>
        huggingFaceTensors(name, safetensorsTensor(file, name, entry), pretrained),
      ),
    ),
    async writeTexts(out) {
      if (texts) return texts.writeTo(out);
      for (const name of copied) await copyFile(join(dir, name), join(out, name));
    },
    close: () => file.close(),
  };
}

const modelOf = (config: PretrainedConfig): LlamaModel => ({
  vocab_size: config.vocab_size,
  hidden_size: config.hidden_size,
  intermediate_size: config.intermediate_size,
  num_hidden_layers: config.num_hidden_layers,
  num_attention_heads: config.num_attention_heads,
  num_key_value_heads: config.num_key_value_heads,
  head_size: config.head_size,
  norm_epsilon: config.norm_epsilon,
  max_position_embeddings: config.max_position_embeddings,
  rotary_base: config.rotary_base,
  rotary_scaling: config.rotary_scaling,
  tie_word_embeddings: config.tie_word_embeddings,
});

const NAMES: Readonly<Record<string, string>> = {
  'transformer.vocab_embedding': 'model.embed_tokens',
  'transformer.ln_f': 'model.norm',
  lm_head: 'lm_head',
  input_layernorm: 'input_layernorm',
  'attention.dense': 'self_attn.o_proj',
  post_layernorm: 'post_attention_layernorm',
  'mlp.fc': 'mlp.gate_proj',
  'mlp.gate': 'mlp.up_proj',
  'mlp.proj': 'mlp.down_proj',
};

/** The reverse of what the converter does. An unknown tensor keeps its name, so that the error message has it. */
function huggingFaceTensors(name: string, tensor: SourceTensor, model: LlamaModel): [string, SourceTensor][] {
  const [, prefix, part = ''] = /^(?:transformer\.layers\.(\d+)\.)?(.+)\.weight$/.exec(name) ?? [];
  const to = prefix === undefined ? '' : `model.layers.${prefix}.`;
  if (prefix !== undefined && part === 'attention.qkv') {
    const queries = model.num_attention_heads * model.head_size;
    const keys = model.num_key_value_heads * model.head_size;
    return (
      [
        ['q', 0, queries],
        ['k', queries, keys],
        ['v', queries + keys, keys],
      ] as const
    ).map(([which, first, rows]) => [
      `${to}self_attn.${which}_proj.weight`,
      rowsOf(tensor, first, rows, queries + 2 * keys),
    ]);
  }
  const known = Object.hasOwn(NAMES, part) ? NAMES[part] : undefined;
  return [[known === undefined ? name : `${to}${known}.weight`, tensor]];
}

/** Some rows of a matrix; of one that has not `expected` rows in all, a tensor that no plan takes. */
function rowsOf(tensor: SourceTensor, first: number, rows: number, expected: number): SourceTensor {
  const [found, ...rest] = tensor.shape;
  return {
    shape: found === expected ? [rows, ...rest] : tensor.shape,
    file: tensor.file,
    readRows: (row, count, dtype) => tensor.readRows(first + row, count, dtype),
  };
}
