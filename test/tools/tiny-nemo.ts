import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { encodeValues } from '#lib/engine/formats/numeric.js';
import { type TarMemberSpec, tarBytes } from '../lib/engine/formats/tar-bytes.js';
import { type TinyLlamaSpec, tinyLlamaTensors } from './tiny-llama.js';

/** How NeMo would have stored a tiny Llama. */
export interface TinyNemoOptions {
  /** Tensor parallel size at the time: how many shards, and so chunks, each tensor has. Default: 2. */
  savedBy?: number;
  /** A number of rows and columns in each chunk that divides nothing; instead of `savedBy`. */
  chunk?: readonly [number, number];
  /** `make_vocab_size_divisible_by`; NeMo pads to a multiple of it times `savedBy`. Default: 64. */
  vocabMultiple?: number;
  /** Before each key. Default: 'model.'. */
  prefix?: string;
  separator?: '.' | '/';
  /** What the weights are stored in. Default: the spec's `dtype`. */
  stored?: TinyLlamaSpec['dtype'];
  /** Lines of model_config.yaml to change; undefined removes one. */
  config?: Readonly<Record<string, unknown>>;
}

interface Stored {
  readonly shape: readonly number[];
  readonly values: Float32Array;
  readonly chunks: readonly number[];
}

/** Writes the model that `writeTinyLlama` writes as an unpacked NeMo checkpoint, without its tokenizer. */
export async function writeTinyNemo(dir: string, spec: TinyLlamaSpec, options: TinyNemoOptions = {}): Promise<void> {
  const { prefix = 'model.', separator = '.', stored = spec.dtype } = options;
  const weights = join(dir, 'model_weights');
  await mkdir(weights, { recursive: true });
  await writeFile(join(dir, 'model_config.yaml'), yamlOf(spec, options));
  await writeFile(join(weights, 'metadata.json'), '{"sharded_backend":"zarr","sharded_backend_version":1}');
  await writeFile(join(weights, 'common.pt'), 'a pickle that is not read');
  for (const [key, array] of arraysOf(spec, options)) {
    const place = join(weights, prefix + key);
    await mkdir(place);
    await writeFile(join(place, '.zarray'), JSON.stringify(metadataOf(array, stored, separator)));
    for (const [indices, values] of chunksOf(array)) {
      const file = join(place, indices.join(separator));
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, encodeValues(values, stored));
    }
  }
  const extra = join(weights, `${prefix}decoder.layers.self_attention.linear_qkv._extra_state`);
  await mkdir(extra);
  await writeFile(join(extra, 'shard_0_2.pt'), 'a pickle that is not read');
}

/** Packs a directory up as a .nemo file, as Python's tarfile does: names with "./" in front. */
export async function packNemo(dir: string, file: string): Promise<void> {
  await writeFile(file, tarBytes(await nemoMembers(dir)));
}

export async function nemoMembers(dir: string): Promise<TarMemberSpec[]> {
  const members: TarMemberSpec[] = [{ name: './', type: '5' }];
  for (const entry of (await readdir(dir, { recursive: true, withFileTypes: true })).sort(byName)) {
    const path = join(entry.parentPath, entry.name);
    const name = `./${path.slice(dir.length + 1)}`;
    members.push(entry.isDirectory() ? { name: `${name}/`, type: '5' } : { name, data: await readFile(path) });
  }
  return members;
}

const byName = (a: { parentPath: string; name: string }, b: { parentPath: string; name: string }): number =>
  join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1;

function metadataOf({ shape, chunks }: Stored, stored: TinyLlamaSpec['dtype'], separator: '.' | '/'): unknown {
  return {
    chunks,
    compressor: null,
    dtype: { bfloat16: 'bfloat16', float16: '<f2', float32: '<f4' }[stored],
    fill_value: null,
    filters: null,
    order: 'C',
    shape,
    zarr_format: 2,
    ...(separator === '/' && { dimension_separator: '/' }),
  };
}

/** The arrays by Megatron Core's names: layers stacked, q, k and v of each group and both halves of the MLP fused. */
function arraysOf(
  spec: TinyLlamaSpec,
  { savedBy = 2, chunk, vocabMultiple = 64 }: TinyNemoOptions,
): Map<string, Stored> {
  const { hiddenSize: hidden, intermediateSize: ffn, headDim, heads, kvHeads, layers } = spec;
  const tensors = new Map(tinyLlamaTensors(spec).map(({ name, data }) => [name, data]));
  const of = (name: string): Float32Array => tensors.get(name) ?? new Float32Array();
  const ofLayer = (layer: number, part: string): Float32Array => of(`model.layers.${layer}.${part}.weight`);
  const chunksFor = (rows: number, columns: number, byRow: number, byColumn: number): [number, number] =>
    chunk
      ? [Math.min(chunk[0], rows), Math.min(chunk[1], columns)]
      : [Math.ceil(rows / byRow), Math.ceil(columns / byColumn)];
  const padded = (values: Float32Array): Stored => {
    const multiple = vocabMultiple * savedBy;
    const rows = Math.ceil(spec.vocabSize / multiple) * multiple;
    const all = new Float32Array(rows * hidden).fill(7); // the padding is noise, of which nothing may come out
    all.set(values);
    return { shape: [rows, hidden], values: all, chunks: chunksFor(rows, hidden, savedBy, 1) };
  };
  const stacked = (
    rows: number,
    columns: number,
    shards: [number, number],
    read: (layer: number) => Float32Array,
  ): Stored => ({
    shape: [layers, rows, columns],
    values: joined(Array.from({ length: layers }, (_, layer) => read(layer))),
    chunks: [1, ...chunksFor(rows, columns, ...shards)],
  });
  const norms = (part: string): Stored => ({
    shape: [layers, hidden],
    values: joined(Array.from({ length: layers }, (_, layer) => ofLayer(layer, part))),
    chunks: [1, hidden],
  });
  const qkv = (layer: number): Float32Array => {
    const [q, k, v] = ['q', 'k', 'v'].map((part) => ofLayer(layer, `self_attn.${part}_proj`)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const head = (from: Float32Array, index: number, count = 1): Float32Array =>
      from.subarray(index * headDim * hidden, (index + count) * headDim * hidden);
    const group = heads / kvHeads;
    return joined(
      Array.from({ length: kvHeads }, (_, index) => [
        head(q, index * group, group),
        head(k, index),
        head(v, index),
      ]).flat(),
    );
  };
  const gateAndUp = (layer: number): Float32Array =>
    joined([ofLayer(layer, 'mlp.gate_proj'), ofLayer(layer, 'mlp.up_proj')]);
  return new Map([
    ['embedding.word_embeddings.weight', padded(of('model.embed_tokens.weight'))],
    ...(spec.tied ? [] : [['output_layer.weight', padded(of('lm_head.weight'))] as const]),
    ['decoder.final_layernorm.weight', { shape: [hidden], values: of('model.norm.weight'), chunks: [hidden] }],
    ['decoder.layers.self_attention.linear_qkv.layer_norm_weight', norms('input_layernorm')],
    [
      'decoder.layers.self_attention.linear_qkv.weight',
      stacked((heads + 2 * kvHeads) * headDim, hidden, [savedBy, 1], qkv),
    ],
    [
      'decoder.layers.self_attention.linear_proj.weight',
      stacked(hidden, heads * headDim, [1, savedBy], (layer) => ofLayer(layer, 'self_attn.o_proj')),
    ],
    ['decoder.layers.mlp.linear_fc1.layer_norm_weight', norms('post_attention_layernorm')],
    ['decoder.layers.mlp.linear_fc1.weight', stacked(2 * ffn, hidden, [2 * savedBy, 1], gateAndUp)],
    [
      'decoder.layers.mlp.linear_fc2.weight',
      stacked(hidden, ffn, [1, savedBy], (layer) => ofLayer(layer, 'mlp.down_proj')),
    ],
  ]);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Every chunk in full size; at the edges the rest is noise. */
function* chunksOf({ shape, values, chunks }: Stored): Generator<[number[], Float32Array]> {
  const counts = shape.map((size, axis) => Math.ceil(size / (chunks[axis] as number)));
  const total = counts.reduce((product, count) => product * count, 1);
  for (let chunk = 0; chunk < total; chunk++) {
    const indices = unravel(chunk, counts);
    const content = new Float32Array(chunks.reduce((product, size) => product * size, 1)).fill(9);
    for (let at = 0; at < content.length; at++) {
      const place = unravel(at, chunks).map(
        (index, axis) => index + (indices[axis] as number) * (chunks[axis] as number),
      );
      if (place.some((index, axis) => index >= (shape[axis] as number))) continue;
      const from = place.reduce((sum, index, axis) => sum * (shape[axis] as number) + index, 0);
      content[at] = values[from] as number;
    }
    yield [indices, content];
  }
}

function unravel(index: number, counts: readonly number[]): number[] {
  let left = index;
  return counts
    .toReversed()
    .map((count) => {
      const here = left % count;
      left = Math.floor(left / count);
      return here;
    })
    .reverse();
}

function yamlOf(spec: TinyLlamaSpec, { savedBy = 2, vocabMultiple = 64, config = {} }: TinyNemoOptions): string {
  const { ropeScaling } = spec;
  const fields: Record<string, unknown> = {
    mcore_gpt: true,
    micro_batch_size: 1,
    tensor_model_parallel_size: savedBy,
    encoder_seq_length: spec.maxPositions,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: OmegaConf's own interpolation
    max_position_embeddings: '${.encoder_seq_length}',
    num_layers: spec.layers,
    hidden_size: spec.hiddenSize,
    ffn_hidden_size: spec.intermediateSize,
    num_attention_heads: spec.heads,
    init_method_std: 0.02,
    hidden_dropout: 0.0,
    kv_channels: spec.headDim * spec.heads === spec.hiddenSize ? null : spec.headDim,
    apply_query_key_layer_scaling: true,
    normalization: 'rmsnorm',
    layernorm_epsilon: '1.0e-05',
    make_vocab_size_divisible_by: vocabMultiple,
    bias: false,
    activation: 'fast-swiglu',
    headscale: false,
    transformer_block_type: 'pre_ln',
    normalize_attention_scores: true,
    position_embedding_type: 'rope',
    rotary_percentage: 1.0,
    attention_type: 'multihead',
    share_embeddings_and_output_weights: spec.tied,
    num_query_groups: spec.kvHeads === spec.heads ? null : spec.kvHeads,
    tokenizer: '\n  library: huggingface\n  type: some/model\n  model: null\n  use_fast: true',
    precision: { bfloat16: 'bf16', float16: 16, float32: 32 }[spec.dtype],
    megatron_amp_O2: true,
    data: '\n  data_prefix:\n  - 0.5\n  - /data/text # "document"\n  index_mapping_dir: null',
    optim: "\n  name: fused_adam\n  betas:\n  - 0.9\n  - 0.98\n  sched:\n    name: 'Cosine: annealing'",
    rotary_base: spec.ropeTheta,
    seq_len_interpolation_factor: ropeScaling?.rope_type === 'linear' ? ropeScaling.factor : null,
    scale_positional_embedding: ropeScaling?.rope_type === 'llama3',
    target: 'nemo.collections.nlp.models.language_modeling.megatron_gpt_model.MegatronGPTModel',
    nemo_version: '2.0.0rc1',
    ...config,
  };
  const lines = Object.entries(fields).filter(([, value]) => value !== undefined);
  return lines.map(([key, value]) => `${key}:${String(value).startsWith('\n') ? '' : ' '}${value}\n`).join('');
}
