import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Llama-3.1-Nemotron-70B-Instruct-HF's, as its config.json has it. */
export const NEMOTRON = {
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
export async function hollowCheckpoint(dir: string, config: Config): Promise<void> {
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
