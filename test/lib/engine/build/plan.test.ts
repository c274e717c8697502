import assert from 'node:assert/strict';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Plan, type PlannedChoice, plan } from 'node-tensorrt-llm';
import { failsWith } from '../../../tools/fails-with.js';
import { temporaryDirectory } from '../helpers.js';

/** Llama-3.1-Nemotron-70B-Instruct-HF's, as its config.json has it. */
const NEMOTRON = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 8192,
  intermediate_size: 28672,
  num_hidden_layers: 80,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  vocab_size: 128256,
  max_position_embeddings: 131072,
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
  rope_scaling: {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  },
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
};

type Config = typeof NEMOTRON;

/** A checkpoint of a model's shape, one file per layer, whose weights are holes: it takes no space. */
async function hollowCheckpoint(dir: string, config: Config): Promise<void> {
  const { hidden_size: hidden, intermediate_size: intermediate, vocab_size: vocab } = config;
  const headDim = hidden / config.num_attention_heads;
  const keys = config.num_key_value_heads * headDim;
  const ends = {
    'model.embed_tokens.weight': [vocab, hidden],
    'model.norm.weight': [hidden],
    'lm_head.weight': [vocab, hidden],
  };
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => {
    const of = (name: string): string => `model.layers.${layer}.${name}.weight`;
    return {
      [of('self_attn.q_proj')]: [hidden, hidden],
      [of('self_attn.k_proj')]: [keys, hidden],
      [of('self_attn.v_proj')]: [keys, hidden],
      [of('self_attn.o_proj')]: [hidden, hidden],
      [of('mlp.gate_proj')]: [intermediate, hidden],
      [of('mlp.up_proj')]: [intermediate, hidden],
      [of('mlp.down_proj')]: [hidden, intermediate],
      [of('input_layernorm')]: [hidden],
      [of('post_attention_layernorm')]: [hidden],
    };
  });
  const weight_map: Record<string, string> = {};
  for (const [index, shapes] of [ends, ...layers].entries()) {
    const file = `model-${index}.safetensors`;
    for (const name of Object.keys(shapes)) weight_map[name] = file;
    await writeHollow(join(dir, file), shapes);
  }
  await writeFile(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  await writeFile(join(dir, 'tokenizer.json'), '{}');
}

async function writeHollow(file: string, shapes: Record<string, number[]>): Promise<void> {
  let end = 0;
  const entries = Object.entries(shapes).map(([name, shape]) => {
    const begin = end;
    end += 2 * shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: 'BF16', shape, data_offsets: [begin, end] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const handle = await open(file, 'w');
  try {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    await handle.write(Buffer.concat([length, header]));
    await handle.truncate(8 + header.length + end);
  } finally {
    await handle.close();
  }
}

function choiceOf({ choices }: Plan, quantization: string | null, tpSize: number, ppSize = 1): PlannedChoice {
  const found = choices.find(
    (each) => each.quantization === quantization && each.tpSize === tpSize && each.ppSize === ppSize,
  );
  assert(found, `${quantization} tp ${tpSize} pp ${ppSize}`);
  return found;
}

test('a 70B on two H100s: the weights of each rank to the byte, and two GPUs in bfloat16 recommended', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, NEMOTRON);
  const result = await plan(dir, { gpus: '2xH100-80GB', maxSeqLen: 4096 });
  assert.equal(result.parameters, 70_553_706_496); // as the model card of Llama 3.1 70B counts them
  assert.equal(result.gpus.count, 2);
  const half = choiceOf(result, null, 2);
  // (70,553,706,496 weights - what each rank has whole: the embedding and 161 norms) / 2, plus that.
  const whole = 128_256 * 8192 + 161 * 8192;
  assert.equal(half.weightBytes, 2 * ((70_553_706_496 - whole) / 2 + whole));
  assert.equal(half.kvBytesPerToken, 2 * 2 * 80 * 4 * 128);
  assert.equal(half.fits, true);
  assert.equal(result.recommended, half);
  assert.equal(choiceOf(result, null, 1).tokens, 0);
  // One byte per weight of the linear layers, or of the MLPs between the first and the last, and their scales; the rest as it is.
  const mlp = 3 * 8192 * 28_672;
  const linear = 80 * (8192 * (8192 + 2 * 1024) + 8192 * 8192 + mlp);
  const outputs = 80 * (8192 + 2 * 1024 + 8192 + 2 * 28_672 + 8192);
  assert.equal(choiceOf(result, 'int8_wo', 1).weightBytes, 2 * (70_553_706_496 - linear + outputs) + linear);
  const rowwise = 2 * 70_553_706_496 - 78 * (mlp - 4 * (2 * 28_672 + 8192));
  assert.equal(choiceOf(result, 'fp8_rowwise', 1).weightBytes, rowwise);
  assert.match(String(choiceOf(result, 'fp8_rowwise', 1, 2).obstacle), /one stage/);
  // A stage has half the layers, and the embedding or the head.
  assert.equal(choiceOf(result, null, 1, 2).kvBytesPerToken, half.kvBytesPerToken);
});

test('a 70B is planned for in under a second', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, NEMOTRON);
  const start = performance.now();
  await plan(dir, { gpus: 'H200' });
  t.diagnostic(`${(performance.now() - start).toFixed(0)} ms`);
});

test('KV heads are copied where there are more ranks than heads, and what does not divide is said', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, { ...NEMOTRON, num_hidden_layers: 3, intermediate_size: 28_664 });
  const result = await plan(dir, { gpus: '16xA100-80GB' });
  assert.equal(choiceOf(result, null, 16).obstacle, 'intermediate_size 28664 does not divide by 16');
  assert.equal(choiceOf(result, null, 1, 2).obstacle, '3 layers do not divide by 2');
  assert.equal(choiceOf(result, 'int4_awq', 8).obstacle, 'groups of 128 weights do not fit a matrix of 3583 columns');
  assert.equal(choiceOf(result, 'int4_awq', 8).tokens, 0);
  assert.equal(choiceOf(result, null, 8).kvBytesPerToken, 2 * 2 * 3 * 128);
  const even = await temporaryDirectory(t);
  await hollowCheckpoint(even, { ...NEMOTRON, num_hidden_layers: 3 });
  const copied = await plan(even, { gpus: '16xA100-80GB' });
  assert.equal(choiceOf(copied, null, 16).kvBytesPerToken, 2 * 2 * 3 * 128);
});

test('a T4 has neither bfloat16 nor FP8', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, { ...NEMOTRON, num_hidden_layers: 2 });
  const { choices } = await plan(dir, { gpus: 'T4' });
  assert.deepEqual(new Set(choices.map(({ dtype }) => dtype)), new Set(['float16']));
  assert(choices.every(({ quantization }) => quantization !== 'fp8_rowwise'));
});

test('where nothing fits, nothing is recommended', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, NEMOTRON);
  const result = await plan(dir, { gpus: 'T4' });
  assert.equal(result.recommended, undefined);
  assert(result.choices.every(({ tokens, fits }) => tokens === 0 && !fits));
});

test('GPUs are named as people write them; others are refused with the names that are known', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, { ...NEMOTRON, num_hidden_layers: 1 });
  for (const gpus of ['4 x a100-40gb', '4xA100 40GB', 'NVIDIA A100-40GB']) {
    assert.equal((await plan(dir, { gpus })).gpus.name, 'A100-40GB');
  }
  for (const gpus of ['2xH1000', '0xT4', '9999xT4', 'x', '2x']) {
    await assert.rejects(plan(dir, { gpus }), failsWith('ERR_INVALID_OPTION', /2xH100-80GB.*Kinds: T4/));
  }
});
