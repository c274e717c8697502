import { LLMError } from '../../base/errors.js';
import type { PretrainedConfig } from '../directory/checkpoint-config.js';
import type { Quantization } from '../directory/quantization.js';
import { Fp8Tensor, readEngineFp8, readFp8 } from './fp8-matrix.js';
import { Int4Tensor, readEngineInt4, readInt4 } from './int4-matrix.js';
import { encodeValues } from './numeric.js';
import type { SourceQuantization } from './quantization-config.js';
import type { LlamaModel, SourceTensor } from './source.js';
import { Beside, type StoredTensor } from './stored-tensor.js';

export interface QuantizedTensors {
  /** All tensors; the quantized matrices are under the names of plain ones, without what lay beside them. */
  readonly tensors: ReadonlyMap<string, SourceTensor>;
  /** How an engine stores them; an error if TensorRT-LLM's forms cannot hold them. */
  readonly quantization: Quantization | LLMError;
  /** About what is left out. */
  readonly warnings: readonly string[];
}

type Stored = ReadonlyMap<string, StoredTensor>;
type QuantizedTensor = Int4Tensor | Fp8Tensor;

const WEIGHT = {
  gptq: /^(.*)\.qweight$/,
  awq: /^(.*)\.qweight$/,
  packed: /^(.*)\.weight_packed$/,
  fp8: /^(.*)\.weight$/,
};

/** Finds the quantized matrices among the tensors of a Hugging Face directory, and checks what lies beside each. */
export async function readQuantizedTensors(
  stored: Stored,
  format: SourceQuantization,
  model: LlamaModel,
): Promise<QuantizedTensors> {
  const matrices = new Map<string, QuantizedTensor>(); // by module
  const used = new Set<string>();
  for (const [name, tensor] of stored) {
    const module = WEIGHT[format.format].exec(name)?.[1];
    if (module === undefined || (format.format === 'fp8' && tensor.entry.dtype !== 'F8_E4M3')) continue;
    const beside = new Beside(module, tensor, stored, used);
    matrices.set(
      module,
      format.format === 'fp8'
        ? new Fp8Tensor(`${module}.weight`, await readFp8(tensor, beside))
        : new Int4Tensor(
            `${module}.weight`,
            tensor.file,
            await readInt4(tensor, beside, { ...format, format: format.format }),
          ),
    );
    const bias = stored.get(`${module}.bias`);
    if (format.format === 'gptq' && bias && !hasBias(module, model) && (await isZero(bias))) used.add(bias.name);
  }
  const tensors = new Map<string, SourceTensor>();
  for (const [name, tensor] of stored) if (!used.has(name)) tensors.set(name, tensor);
  for (const matrix of matrices.values()) tensors.set(matrix.name, matrix);
  const warnings: string[] = [];
  if (format.hasFp8KvCache) {
    for (const [name, tensor] of await readKvScales(stored, model)) tensors.set(name, tensor);
  } else {
    const scale = [...stored.values()].find(({ name }) => KV_SCALE.test(name));
    if (scale) {
      warnings.push(
        `${scale.file} has scales of a quantized KV cache, such as ${scale.name}, which are left out: its config asks for no such cache.`,
      );
    }
  }
  return { tensors, quantization: quantizationOf(matrices, format, model), warnings };
}

const ENGINE_WEIGHT = /^(transformer\.layers\.\d+\.(attention\.(qkv|dense)|mlp\.(fc|gate|proj)))\.weight$/;

/** Finds the quantized matrices among the tensors of an engine, in the forms of TensorRT-LLM. */
export async function readEngineTensors(
  stored: Stored,
  model: LlamaModel & Pick<PretrainedConfig, 'quantization'>,
): Promise<ReadonlyMap<string, SourceTensor>> {
  const { quantization } = model;
  const { quant_algo } = quantization;
  const tensors = new Map<string, SourceTensor>();
  const used = new Set<string>();
  for (const [name, tensor] of stored) {
    const module = ENGINE_WEIGHT.exec(name)?.[1];
    const { dtype } = tensor.entry;
    if (quant_algo === null || module === undefined || tensor.type) continue;
    const beside = new Beside(module, tensor, stored, used);
    if (quant_algo === 'W4A16_AWQ' && ['I8', 'U8'].includes(dtype)) {
      tensors.set(name, new Int4Tensor(name, tensor.file, await readEngineInt4(tensor, beside, quantization)));
    } else if (/^FP8/.test(quant_algo) && ['F8_E4M3', 'I8', 'U8'].includes(dtype)) {
      tensors.set(name, new Fp8Tensor(name, await readEngineFp8(tensor, beside, quantization)));
    } else {
      throw new LLMError(
        'ERR_MODEL_UNSUPPORTED',
        `${tensor.file}: ${name} is ${dtype}, in the order of one GPU architecture, which the file does not name; expected F32, F16 or BF16 for ` +
          `${quant_algo}. Convert the original model.`,
      );
    }
  }
  for (const [name, tensor] of stored) if (!used.has(name)) tensors.set(name, tensor);
  if (quantization.kv_cache_quant_algo !== null) {
    for (const [name, tensor] of await readKvScales(stored, model, 'engine')) tensors.set(name, tensor);
  }
  return tensors;
}

const hasBias = (module: string, { attn_bias = false, mlp_bias = false, architecture }: LlamaModel): boolean => {
  if (module.includes('.mlp.')) return mlp_bias;
  return attn_bias && !(architecture === 'Qwen2ForCausalLM' && module.endsWith('.o_proj'));
};

/** Old versions of AutoGPTQ write a bias of zeros for each matrix. */
const isZero = async (bias: StoredTensor): Promise<boolean> => (await bias.readFloats()).every((value) => value === 0);

const KV_SCALE = /^(model\.layers\.\d+\.self_attn)\.(.*\.)?((k|v|kv)_scale|[kv]_proj\.output_scale)$/;
const ENGINE_KV_SCALE = /^(transformer\.layers\.\d+\.attention)\.(k|v|kv)_cache_scaling_factor$/;

/** What keys and values are multiplied by when they are read from a cache of FP8 or INT8: one number for both, by layer; 1 if a layer has none. */
async function readKvScales(
  stored: Stored,
  { num_hidden_layers }: LlamaModel,
  kind: 'source' | 'engine' = 'source',
): Promise<Map<string, SourceTensor>> {
  const scales = new Map<string, number>();
  for (const [name, tensor] of stored) {
    const attention = (kind === 'source' ? KV_SCALE : ENGINE_KV_SCALE).exec(name)?.[1];
    if (attention !== undefined) scales.set(attention, Math.max(await tensor.readFloat(), scales.get(attention) ?? 0));
  }
  const [first] = stored.values();
  return new Map(
    Array.from({ length: num_hidden_layers }, (_, layer): [string, SourceTensor] => {
      const attention = kind === 'source' ? `model.layers.${layer}.self_attn` : `transformer.layers.${layer}.attention`;
      const value = Float32Array.of(scales.get(attention) ?? 1);
      const readRows: SourceTensor['readRows'] = (_first, _count, dtype) =>
        Promise.resolve(encodeValues(value, dtype ?? 'float32'));
      const scale = kind === 'source' ? 'kv_scale' : 'kv_cache_scaling_factor';
      return [`${attention}.${scale}`, { shape: [1], file: first?.file ?? '', type: 'float32', readRows }];
    }),
  );
}

/** TensorRT-LLM's names of the modules of a layer. */
const TARGETS: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attention.qkv',
  'self_attn.k_proj': 'attention.qkv',
  'self_attn.v_proj': 'attention.qkv',
  'self_attn.o_proj': 'attention.dense',
  'mlp.gate_proj': 'mlp.fc',
  'mlp.up_proj': 'mlp.gate',
  'mlp.down_proj': 'mlp.proj',
};
const PHI3_TARGETS: Readonly<Record<string, string>> = {
  'self_attn.qkv_proj': 'attention.qkv',
  'self_attn.o_proj': 'attention.dense',
  'mlp.gate_up_proj': 'mlp.fc',
  'mlp.down_proj': 'mlp.proj',
};

function quantizationOf(
  matrices: ReadonlyMap<string, QuantizedTensor>,
  format: SourceQuantization,
  model: LlamaModel,
): Quantization | LLMError {
  const plain: string[] = []; // TensorRT-LLM's names of modules
  const found = new Set<string>();
  const targets = Object.entries(model.architecture === 'Phi3ForCausalLM' ? PHI3_TARGETS : TARGETS);
  for (let layer = 0; layer < model.num_hidden_layers; layer++) {
    for (const [, target] of targets) {
      const modules = targets.filter(([, each]) => each === target).map(([name]) => `model.layers.${layer}.${name}`);
      const quantized = modules.filter((module) => matrices.has(module));
      for (const module of quantized) found.add(module);
      const [first] = quantized;
      if (first === undefined) plain.push(`transformer.layers.${layer}.${target}`);
      else if (quantized.length < modules.length) {
        const other = modules.find((module) => !matrices.has(module));
        return cannotKeep(
          matrices.get(first),
          `is quantized, and ${other} is not`,
          'both alike, which an engine has in one matrix',
        );
      }
    }
  }
  const other = [...matrices.keys()].find((module) => !found.has(module));
  if (other !== undefined) return cannotKeep(matrices.get(other), 'is quantized', 'only matrices of layers to be');
  const kv_cache_quant_algo = format.hasFp8KvCache ? 'FP8' : null;
  const form =
    format.format === 'fp8'
      ? fp8Form([...matrices.values()].filter(isFp8), matrices, format, plain)
      : int4Form([...matrices.values()].filter(isInt4), plain);
  return LLMError.is(form) ? form : { ...form, kv_cache_quant_algo };
}

const isInt4 = (tensor: QuantizedTensor): tensor is Int4Tensor => tensor.quantized.kind === 'int4';
const isFp8 = (tensor: QuantizedTensor): tensor is Fp8Tensor => tensor.quantized.kind === 'fp8';

const unique = (names: readonly string[]): string[] => [...new Set(names)];

type Form = Omit<Quantization, 'kv_cache_quant_algo'>;

function int4Form(tensors: readonly Int4Tensor[], plain: readonly string[]): Form | LLMError {
  const sizes = [128, 64, 32].find((size) =>
    tensors.every(({ quantized: { inputs, groupSize } }) => inputs % size === 0 && groupSize % size === 0),
  );
  const reordered = tensors.find(({ quantized }) => quantized.groupOf !== undefined);
  if (reordered) {
    return cannotKeep(
      reordered,
      'has groups of inputs that are not neighbors: the model was quantized in the order of its activations (desc_act)',
      'groups in order',
    );
  }
  if (sizes === undefined) {
    const groupSizes = unique(tensors.map(({ quantized }) => String(quantized.groupSize))).join(', ');
    return cannotKeep(tensors[0], `has a scale for each ${groupSizes} inputs`, 'a multiple of 32');
  }
  return {
    quant_algo: 'W4A16_AWQ',
    group_size: sizes,
    has_zero_point: tensors.some(({ quantized }) => quantized.hasZeros),
    pre_quant_scale: false,
    exclude_modules: plain.length === 0 ? null : ['*lm_head', '*vocab_embedding', ...unique(plain)],
  };
}

function fp8Form(
  tensors: readonly Fp8Tensor[],
  matrices: ReadonlyMap<string, QuantizedTensor>,
  { clampVal }: SourceQuantization,
  plain: readonly string[],
): Form {
  const scaleOf = (module: string): number | undefined => {
    const matrix = matrices.get(module)?.quantized;
    return matrix?.kind === 'fp8' ? matrix.scales[0] : undefined;
  };
  const oneScale = tensors.every(
    ({ quantized }) => quantized.scales.length === 1 && quantized.inputScale !== undefined,
  );
  const alike = [...matrices.keys()].every((module) => {
    const [, attention] = /^(.*)\.[kv]_proj$/.exec(module) ?? [];
    return attention === undefined || scaleOf(module) === scaleOf(`${attention}.q_proj`);
  });
  if (oneScale && alike) {
    const exclude_modules = plain.length === 0 ? null : ['*lm_head', '*vocab_embedding', ...unique(plain)];
    return { quant_algo: 'FP8', exclude_modules };
  }
  return {
    quant_algo: 'FP8_PER_CHANNEL_PER_TOKEN',
    clamp_val: clampVal,
    exclude_modules: plain.length === 0 ? null : ['*ln_f', '*ln_embed', ...wholeBlocks(unique(plain))],
  };
}

/**
 * With scales by token TensorRT-LLM quantizes whole attentions and MLPs, together with the norm before: where all matrices of one are plain, it
 * and its norm are named instead.
 */
function wholeBlocks(plain: readonly string[]): string[] {
  const names = plain.flatMap((name) => {
    const [, layer = '', block = ''] = /^(.*)\.(attention|mlp)\./.exec(name) ?? [];
    const others = Object.values(TARGETS).filter((target) => target.startsWith(`${block}.`));
    if (!others.every((target) => plain.includes(`${layer}.${target}`))) return [name];
    return [`${layer}.${block}`, `${layer}.${block === 'mlp' ? 'post_layernorm' : 'input_layernorm'}`];
  });
  return unique(names);
}

function cannotKeep(tensor: QuantizedTensor | undefined, found: string, expected: string): LLMError {
  const fix =
    'Pass dtype, such as float16: that dequantizes the model, to a file up to four times as large. Or convert another version of it.';
  return new LLMError(
    'ERR_MODEL_UNSUPPORTED',
    `${tensor?.file}: ${tensor?.name} ${found}; expected ${expected}. ${fix}`,
  );
}
