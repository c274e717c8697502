import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LLMError } from '../../base/errors.js';
import type { RotaryScaling } from '../directory/rope.js';
import { type GgufFile, type GgufTensor, openGgufFile } from './gguf.js';
import { GgufMetadata } from './gguf-metadata.js';
import { TENSOR_TYPES } from './gguf-tensors.js';
import { tokenizerFiles } from './gguf-tokenizer.js';
import { convertValues, type LlamaModel, readExactly, type SourceCheckpoint, type SourceTensor } from './source.js';
import type { TextFiles } from './text-files.js';

/**
 * Opens a GGUF file of the `llama` architecture. Weights become float16 unless the user says otherwise.
 * @param given the tokenizer and what goes with it, instead of the file's own.
 */
export async function openGguf(path: string, given?: TextFiles): Promise<SourceCheckpoint> {
  const gguf = await openGgufFile(path);
  const close = (): Promise<void> => gguf.handle.close();
  try {
    const metadata = new GgufMetadata(gguf);
    const model = parseLlama(gguf, metadata);
    const texts = given ? new Map<string, string>() : tokenizerFiles(metadata, model);
    const tensors = new Map(
      [...gguf.tensors].map(([name, tensor]) => [huggingFaceName(name), tensorOf(gguf, name, tensor, model)]),
    );
    const writeTexts = async (out: string): Promise<void> => {
      await given?.writeTo(out);
      for (const [name, text] of texts) await writeFile(join(out, name), text);
    };
    return { kind: 'gguf', path, model, dtype: 'float16', tensors, writeTexts, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function parseLlama(gguf: GgufFile, metadata: GgufMetadata): LlamaModel {
  const key = 'general.architecture';
  if (metadata.string(key) !== 'llama') throw metadata.error(key, '"llama"', 'ERR_MODEL_UNSUPPORTED');
  if (metadata.integer('split.count', { fallback: 1 }) > 1) {
    throw metadata.error(
      'split.count',
      "a single file. Merge the parts with llama.cpp's llama-gguf-split --merge",
      'ERR_MODEL_UNSUPPORTED',
    );
  }
  const size = (name: string, fallback?: number): number =>
    metadata.integer(`llama.${name}`, fallback === undefined ? { min: 1 } : { min: 1, fallback });
  const hidden_size = size('embedding_length');
  const num_attention_heads = size('attention.head_count');
  const head_size = size('attention.key_length', hidden_size / num_attention_heads);
  for (const same of ['attention.value_length', 'rope.dimension_count']) {
    if (size(same, head_size) !== head_size) {
      throw metadata.error(`llama.${same}`, `the head size, ${head_size}`, 'ERR_MODEL_UNSUPPORTED');
    }
  }
  return {
    vocab_size: gguf.tensors.get('token_embd.weight')?.shape[0] ?? size('vocab_size'),
    hidden_size,
    intermediate_size: size('feed_forward_length'),
    num_hidden_layers: size('block_count'),
    num_attention_heads,
    num_key_value_heads: size('attention.head_count_kv', num_attention_heads),
    head_size,
    norm_epsilon: metadata.positive('llama.attention.layer_norm_rms_epsilon'),
    max_position_embeddings: size('context_length'),
    rotary_base: metadata.positive('llama.rope.freq_base', { fallback: 10_000 }),
    rotary_scaling: parseScaling(metadata),
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
  };
}

function parseScaling(metadata: GgufMetadata): RotaryScaling | null {
  const key = 'llama.rope.scaling.type';
  const type = metadata.string(key) ?? 'none';
  if (type === 'none') return null;
  if (type === 'linear') return { rope_type: 'linear', factor: metadata.positive('llama.rope.scaling.factor') };
  throw metadata.error(key, '"none" or "linear"', 'ERR_MODEL_UNSUPPORTED');
}

const NAMES = new Map([
  ['token_embd', 'model.embed_tokens'],
  ['output_norm', 'model.norm'],
  ['output', 'lm_head'],
]);
const LAYER_NAMES = new Map([
  ['attn_norm', 'input_layernorm'],
  ['attn_q', 'self_attn.q_proj'],
  ['attn_k', 'self_attn.k_proj'],
  ['attn_v', 'self_attn.v_proj'],
  ['attn_output', 'self_attn.o_proj'],
  ['ffn_norm', 'post_attention_layernorm'],
  ['ffn_gate', 'mlp.gate_proj'],
  ['ffn_up', 'mlp.up_proj'],
  ['ffn_down', 'mlp.down_proj'],
]);

/** An unknown tensor keeps its name, so that the error message has it. */
function huggingFaceName(name: string): string {
  const [, layer, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? [];
  if (layer !== undefined && part !== undefined) {
    const known = LAYER_NAMES.get(part);
    return known ? `model.layers.${layer}.${known}.weight` : name;
  }
  const known = NAMES.get(name.replace(/\.weight$/, ''));
  return known && name.endsWith('.weight') ? `${known}.weight` : name;
}

function tensorOf(gguf: GgufFile, name: string, tensor: GgufTensor, model: LlamaModel): SourceTensor {
  const type = TENSOR_TYPES.get(tensor.type);
  if (!type) {
    throw new LLMError(
      'ERR_INTERNAL',
      `${gguf.path}: ${name} has a type that the reader should have rejected. Please report it.`,
    );
  }
  const columns = tensor.shape.at(-1) ?? 1;
  const rowBytes = (columns / type.blockValues) * type.blockBytes;
  const isRotated = /\.attn_[qk]\.weight$/.test(name);
  return {
    shape: tensor.shape,
    file: gguf.path,
    async readRows(first, count, dtype) {
      const values = type.decode(
        await readExactly(gguf.handle, gguf.path, tensor.position + first * rowBytes, count * rowBytes),
      );
      const rows = isRotated ? toHalfSplitRows(values, columns, model.head_size) : values;
      return convertValues(rows, dtype, `${gguf.path}: ${name}`);
    },
  };
}

/**
 * GGUF stores the rows of Q and K for interleaved RoPE, which turns rows 2i and 2i+1 of a head together; Hugging Face and
 * TensorRT-LLM ("rope_gpt_neox") turn rows i and i + headSize/2. `values` are whole heads.
 */
export function toHalfSplitRows(values: Float32Array, columns: number, headSize: number): Float32Array {
  const result = new Float32Array(values.length);
  const rows = values.length / columns;
  for (let row = 0; row < rows; row++) {
    const inHead = row % headSize;
    const source = row - inHead + (inHead < headSize / 2 ? 2 * inHead : 2 * inHead - headSize + 1);
    result.set(values.subarray(source * columns, (source + 1) * columns), row * columns);
  }
  return result;
}
