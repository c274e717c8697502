import { writeFile } from 'node:fs/promises';
import { LLMError } from '../../base/errors.js';
import { isBlockType } from './ggml-blocks.js';
import { GgufMetadata } from './gguf-metadata.js';
import { parseGgufModel, ROPE_FACTORS } from './gguf-model.js';
import { openGgufParts, type PlacedTensor } from './gguf-parts.js';
import { TENSOR_TYPES } from './gguf-tensors.js';
import { tokenizerFiles } from './gguf-tokenizer.js';
import {
  convertBlocks,
  convertValues,
  type LlamaModel,
  readExactly,
  type SourceCheckpoint,
  type SourceTensor,
} from './source.js';
import { placeFor, type TextFiles } from './text-files.js';

/**
 * Opens a GGUF file of a known architecture, or all parts of one by any of them. Unless the user says otherwise, weights in blocks stay in them, and those of a file
 * without become bfloat16 if some are that, else float16.
 * @param given the tokenizer and what goes with it, instead of the file's own.
 */
export async function openGguf(path: string, given?: TextFiles): Promise<SourceCheckpoint> {
  const gguf = await openGgufParts(path);
  const { close } = gguf;
  try {
    const metadata = new GgufMetadata(gguf);
    const model = await parseGgufModel(gguf, metadata);
    const texts = given ? new Map<string, string>() : tokenizerFiles(metadata, model);
    const tensors = new Map(
      [...gguf.tensors]
        .filter(([name]) => name !== ROPE_FACTORS)
        .map(([name, tensor]) => [huggingFaceName(name, model), tensorOf(name, tensor, model)]),
    );
    const writeTexts = async (out: string): Promise<void> => {
      await given?.writeTo(out);
      for (const [name, text] of texts) await writeFile(await placeFor(out, name), text);
    };
    const dtype = [...tensors.values()].some(({ type }) => type === 'bfloat16') ? 'bfloat16' : 'float16';
    return { kind: 'gguf', path: gguf.path, model, dtype, tensors, writeTexts, close };
  } catch (error) {
    await close();
    throw error;
  }
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
  ['attn_qkv', 'self_attn.qkv_proj'],
  ['attn_output', 'self_attn.o_proj'],
  ['attn_q_norm', 'self_attn.q_norm'],
  ['attn_k_norm', 'self_attn.k_norm'],
  ['ffn_norm', 'post_attention_layernorm'],
  ['ffn_gate', 'mlp.gate_proj'],
  ['ffn_up', 'mlp.up_proj'],
  ['ffn_down', 'mlp.down_proj'],
]);

/** An unknown tensor keeps its name, so that the error message has it. */
function huggingFaceName(name: string, { architecture }: LlamaModel): string {
  const [, layer, part, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (layer !== undefined && part !== undefined) {
    const isFused = architecture === 'Phi3ForCausalLM' && part === 'ffn_up';
    const known = isFused ? 'mlp.gate_up_proj' : LAYER_NAMES.get(part);
    return known ? `model.layers.${layer}.${known}.${kind}` : name;
  }
  const known = NAMES.get(name.replace(/\.weight$/, ''));
  return known && name.endsWith('.weight') ? `${known}.weight` : name;
}

function tensorOf(name: string, tensor: PlacedTensor, model: LlamaModel): SourceTensor {
  const { file } = tensor;
  const type = TENSOR_TYPES.get(tensor.type);
  if (!type) {
    throw new LLMError(
      'ERR_INTERNAL',
      `${file.path}: ${name} has a type that the reader should have rejected. Please report it.`,
    );
  }
  const columns = tensor.shape.at(-1) ?? 1;
  const isVector = tensor.shape.length === 1;
  if (isVector && type.blockValues > 1) {
    const fix = 'Use another GGUF of the model.';
    throw new LLMError(
      'ERR_MODEL_UNSUPPORTED',
      `${file.path}: ${name} is a vector in ${type.name}; expected F32, F16 or BF16. ${fix}`,
    );
  }
  const rowBytes = (columns / type.blockValues) * type.blockBytes;
  // llama.cpp turns the pairs of these two as Meta does, and those of all others as Hugging Face does.
  const isPermuted = model.architecture === 'LlamaForCausalLM' || model.architecture === 'SmolLM3ForCausalLM';
  const isRotated = isPermuted && /\.attn_[qk]\.(weight|bias)$/.test(name);
  return {
    shape: tensor.shape,
    file: file.path,
    type: type.type,
    async readRows(first, count, dtype) {
      const stored = await readExactly(file.handle, file.path, tensor.position + first * rowBytes, count * rowBytes);
      const rows = isRotated ? toHalfSplitRows(stored, isVector ? type.blockBytes : rowBytes, model.head_size) : stored;
      if (dtype === undefined || dtype === type.type) return rows;
      const label = `${file.path}: ${name}`;
      return isBlockType(type.type)
        ? convertBlocks(rows, type.type, dtype, label)
        : convertValues(type.decode(rows), dtype, label);
    },
    placeOfRows(first, count, dtype) {
      if (isRotated || (dtype !== undefined && dtype !== type.type)) return undefined;
      const { handle, path } = file;
      return { handle, file: path, position: tensor.position + first * rowBytes, bytes: count * rowBytes };
    },
  };
}

/**
 * GGUF stores the rows of Q and K for interleaved RoPE, which turns rows 2i and 2i+1 of a head together; Hugging Face and
 * TensorRT-LLM ("rope_gpt_neox") turn rows i and i + headSize/2. `bytes` are whole heads.
 */
export function toHalfSplitRows(bytes: Uint8Array, rowBytes: number, headSize: number): Uint8Array {
  const result = new Uint8Array(bytes.length);
  const rows = bytes.length / rowBytes;
  for (let row = 0; row < rows; row++) {
    const inHead = row % headSize;
    const source = row - inHead + (inHead < headSize / 2 ? 2 * inHead : 2 * inHead - headSize + 1);
    result.set(bytes.subarray(source * rowBytes, (source + 1) * rowBytes), row * rowBytes);
  }
  return result;
}
