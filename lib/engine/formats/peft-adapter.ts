import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { LLMError } from '../../base/errors.js';
import { readJsonIfThere } from '../../base/json.js';
import type { Tensor } from '../../base/types.js';
import { DTYPES, type Dtype, MAX_LAYERS, MAX_SIZE } from '../directory/checkpoint-config.js';
import { BYTES_PER_VALUE, decodeValues } from './numeric.js';
import { type PeftConfig, readPeftConfig } from './peft-config.js';
import { dtypeOfName, type SafetensorsEntry, SafetensorsFile } from './safetensors.js';
import { convertValues, readExactly } from './source.js';

/** A LoRA adapter in TensorRT-LLM's format, whose rows are a module of a layer each: the first matrix, then the second one, scaled. */
export interface PeftAdapter {
  /** Made from what is in the adapter. */
  readonly id: number;
  readonly weights: Tensor;
  readonly config: Tensor;
}

/** What an adapter must fit: of an engine's config.json, which is of any model where TensorRT-LLM built it. */
interface BaseModel {
  readonly dir: string;
  readonly dtype: Dtype;
  readonly layers: number;
  readonly hidden: number;
  readonly attended: number;
  readonly keys: number;
  readonly intermediate: number;
}

/** TensorRT-LLM's number of the module. */
interface Part {
  readonly module: number;
  readonly outputs: number;
}

/** A linear layer of the model, by Hugging Face's name, whose outputs belong to one or more modules. */
interface LinearLayer {
  readonly inputs: number;
  readonly parts: readonly Part[];
}

const ATTN_Q = 1;
const ATTN_K = 2;
const ATTN_V = 3;
const ATTN_DENSE = 4;
const MLP_H_TO_4H = 5; // of gate_proj
const MLP_4H_TO_H = 6;
const MLP_GATE = 7; // of up_proj

function linearLayers({ hidden, attended, keys, intermediate }: BaseModel): Readonly<Record<string, LinearLayer>> {
  const q = { module: ATTN_Q, outputs: attended };
  const k = { module: ATTN_K, outputs: keys };
  const v = { module: ATTN_V, outputs: keys };
  const gate = { module: MLP_H_TO_4H, outputs: intermediate };
  const up = { module: MLP_GATE, outputs: intermediate };
  return {
    'self_attn.q_proj': { inputs: hidden, parts: [q] },
    'self_attn.k_proj': { inputs: hidden, parts: [k] },
    'self_attn.v_proj': { inputs: hidden, parts: [v] },
    'self_attn.qkv_proj': { inputs: hidden, parts: [q, k, v] },
    'self_attn.o_proj': { inputs: attended, parts: [{ module: ATTN_DENSE, outputs: hidden }] },
    'mlp.gate_proj': { inputs: hidden, parts: [gate] },
    'mlp.up_proj': { inputs: hidden, parts: [up] },
    'mlp.gate_up_proj': { inputs: hidden, parts: [gate, up] },
    'mlp.down_proj': { inputs: intermediate, parts: [{ module: MLP_4H_TO_H, outputs: hidden }] },
  };
}

/**
 * Reads a LoRA adapter that Hugging Face's PEFT saved, for an engine.
 * @throws {LLMError} `ERR_SOURCE_NOT_FOUND`, `ERR_SOURCE_INVALID` if a file is damaged or the adapter is another model's,
 *   `ERR_MODEL_UNSUPPORTED` for what is not plain LoRA over attention and feed-forward parts.
 */
export async function readPeftAdapter(dir: string, engineDir: string): Promise<PeftAdapter> {
  const [config, model] = await Promise.all([readPeftConfig(dir), readBaseModel(engineDir)]);
  const file = await SafetensorsFile.open(join(dir, 'adapter_model.safetensors'));
  try {
    return await new Reader(file, config, model).read();
  } finally {
    await file.close();
  }
}

async function readBaseModel(dir: string): Promise<BaseModel> {
  const file = join(dir, 'config.json');
  const fix = 'Convert or build the engine again.';
  const config = await readJsonIfThere({ file, code: 'ERR_ENGINE_CONFIG', fix });
  if (!config) throw new LLMError('ERR_ENGINE_NOT_FOUND', `${file} does not exist any more. ${fix}`);
  const model = config.has('pretrained_config') ? config.child('pretrained_config') : config;
  const size = (name: string, fallback?: number) =>
    model.integer(name, { min: 1, max: MAX_SIZE, ...(fallback !== undefined && { fallback }) });
  const hidden = size('hidden_size');
  const heads = size('num_attention_heads');
  const headSize = size('head_size', Math.max(1, Math.floor(hidden / heads)));
  return {
    dir,
    dtype: model.oneOf('dtype', DTYPES),
    layers: model.integer('num_hidden_layers', { min: 1, max: MAX_LAYERS }),
    hidden,
    attended: heads * headSize,
    keys: size('num_key_value_heads', heads) * headSize,
    intermediate: size('intermediate_size'),
  };
}

interface Pair {
  readonly layer: number;
  readonly name: string;
  a?: SafetensorsEntry;
  b?: SafetensorsEntry;
}

const TENSOR = /^base_model\.model\.model\.layers\.(\d{1,5})\.((?:self_attn|mlp)\.\w+)\.lora_([AB])\.weight$/;
const PIECE = 1 << 20; // values that are converted before the event loop gets its turn

class Reader {
  readonly #layers: Readonly<Record<string, LinearLayer>>;

  constructor(
    private readonly file: SafetensorsFile,
    private readonly config: PeftConfig,
    private readonly model: BaseModel,
  ) {
    this.#layers = linearLayers(model);
  }

  async read(): Promise<PeftAdapter> {
    const pairs = this.#pairs();
    const rows = pairs.flatMap((pair) => {
      const { inputs, parts } = this.#layers[pair.name] as LinearLayer;
      return parts.map(({ module, outputs }) => ({ module, layer: pair.layer, values: inputs + outputs }));
    });
    const { rank } = this.config;
    const width = rank * Math.max(...rows.map(({ values }) => values));
    const bytes = new Uint8Array(rows.length * width * BYTES_PER_VALUE[this.model.dtype]);
    const rowBytes = width * BYTES_PER_VALUE[this.model.dtype];
    let row = 0;
    for (const pair of pairs) {
      const { inputs, parts } = this.#layers[pair.name] as LinearLayer;
      const a = await this.#convert(pair, 'A', [rank, inputs]);
      const b = await this.#convert(pair, 'B', [parts.reduce((sum, { outputs }) => sum + outputs, 0), rank]);
      let first = 0;
      for (const { outputs } of parts) {
        const end = first + outputs * rank * BYTES_PER_VALUE[this.model.dtype];
        bytes.set(a, row * rowBytes);
        bytes.set(b.subarray(first, end), row * rowBytes + a.length);
        first = end;
        row++;
      }
    }
    const config = Int32Array.from(rows.flatMap(({ module, layer }) => [module, layer, rank]));
    const hash = createHash('sha256').update(new Uint8Array(config.buffer)).update(bytes).digest('hex');
    const data = this.model.dtype === 'float32' ? new Float32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
    return {
      id: Number.parseInt(hash.slice(0, 13), 16), // 52 bits
      weights: { data, shape: [rows.length, width], dataType: this.model.dtype },
      config: { data: config, shape: [rows.length, 3] },
    };
  }

  /** The matrices by layer and module, checked. */
  #pairs(): Pair[] {
    const pairs = new Map<string, Pair>();
    for (const [tensor, entry] of this.file.entries) {
      const [, number, name, letter] = TENSOR.exec(tensor) ?? [];
      if (name === undefined || !Object.hasOwn(this.#layers, name)) {
        throw new LLMError(
          'ERR_MODEL_UNSUPPORTED',
          `${this.file.path} has the tensor ${tensor}; expected lora_A and lora_B of ${Object.keys(this.#layers).join(', ')} alone. ` +
            'Train an adapter with these target_modules.',
        );
      }
      const layer = Number(number);
      if (layer >= this.model.layers) {
        throw this.#otherModel(tensor, `is of layer ${layer}`, `0 to ${this.model.layers - 1}`);
      }
      const key = `${layer}.${name}`;
      const pair = pairs.get(key) ?? { layer, name };
      pairs.set(key, pair);
      pair[letter === 'A' ? 'a' : 'b'] = entry;
    }
    const all = [...pairs.values()].sort((one, two) => one.layer - two.layer);
    if (all.length === 0) throw this.#invalid('has no tensor; expected lora_A and lora_B of at least one module');
    const modules = new Set<string>();
    for (const { layer, name } of all) {
      for (const { module } of (this.#layers[name] as LinearLayer).parts) {
        const key = `${layer}.${module}`;
        if (modules.has(key)) throw this.#invalid(`has layer ${layer}'s ${name} twice, fused and apart; expected one`);
        modules.add(key);
      }
    }
    return all;
  }

  /** A tensor's values as the engine's type, scaled if it is the second of a pair. */
  async #convert(
    { layer, name, a, b }: Pair,
    letter: 'A' | 'B',
    shape: readonly [number, number],
  ): Promise<Uint8Array> {
    const tensor = `base_model.model.model.layers.${layer}.${name}.lora_${letter}.weight`;
    const entry = letter === 'A' ? a : b;
    if (!entry) throw this.#invalid(`has no ${tensor}; expected it beside the other one of its pair`);
    const dtype = dtypeOfName(entry.dtype);
    if (!dtype) {
      throw new LLMError(
        'ERR_MODEL_UNSUPPORTED',
        `${this.file.path}: ${tensor} is ${entry.dtype}; expected F32, F16 or BF16. Save the adapter in one of them.`,
      );
    }
    if (entry.shape.length !== 2 || entry.shape.some((size, i) => size !== shape[i])) {
      throw this.#otherModel(tensor, `is [${entry.shape.join(', ')}]`, `[${shape.join(', ')}]`);
    }
    const count = shape[0] * shape[1];
    const converted = new Uint8Array(count * BYTES_PER_VALUE[this.model.dtype]);
    for (let first = 0; first < count; first += PIECE) {
      const values = Math.min(PIECE, count - first);
      const position = entry.position + first * BYTES_PER_VALUE[dtype];
      const bytes = await readExactly(this.file.handle, this.file.path, position, values * BYTES_PER_VALUE[dtype]);
      const floats = decodeValues(bytes, dtype);
      if (letter === 'B') for (let i = 0; i < floats.length; i++) floats[i] = (floats[i] as number) * this.config.scale;
      converted.set(convertValues(floats, this.model.dtype, tensor), first * BYTES_PER_VALUE[this.model.dtype]);
    }
    return converted;
  }

  #otherModel(tensor: string, found: string, expected: string): LLMError {
    return new LLMError(
      'ERR_SOURCE_INVALID',
      `${this.file.path}: ${tensor} ${found}; expected ${expected}, by the engine in ${this.model.dir} and r of adapter_config.json. ` +
        'Use an adapter that was trained for this model.',
    );
  }

  #invalid(found: string): LLMError {
    return new LLMError('ERR_SOURCE_INVALID', `${this.file.path} ${found}. Save the adapter again with PEFT.`);
  }
}
