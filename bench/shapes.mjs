// Engine directories that hold a config.json alone: shapes of known models, for `loadFormat: 'dummy'`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const model = (hidden, layers, heads, headSize, intermediate) => ({ hidden, layers, heads, headSize, intermediate });
const MODELS = {
  '1b': model(2048, 16, 32, 64, 8192),
  '8b': model(4096, 32, 32, 128, 14336),
  '70b': model(8192, 80, 64, 128, 28672),
};

export const SHAPES = Object.keys(MODELS);

/** The shape of a Llama 3 in bfloat16, its matrices by `quantAlgo`, split over `tpSize` ranks, in a directory that is removed when the process ends. */
export function shapeDirectory(shape, quantAlgo = null, tpSize = 1, maxSeqLen = 16384) {
  if (!(shape in MODELS)) throw new Error(`--shape is ${shape}; expected one of ${SHAPES.join(', ')}.`);
  const { hidden, layers, heads, headSize, intermediate } = MODELS[shape];
  const config = {
    version: '1.0',
    pretrained_config: {
      architecture: 'LlamaForCausalLM',
      dtype: 'bfloat16',
      logits_dtype: 'float32',
      vocab_size: 128256,
      hidden_size: hidden,
      intermediate_size: intermediate,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      num_key_value_heads: 8,
      head_size: headSize,
      hidden_act: 'silu',
      norm_epsilon: 1e-5,
      position_embedding_type: 'rope_gpt_neox',
      max_position_embeddings: 131072,
      rotary_base: 500000,
      mapping: { world_size: tpSize, tp_size: tpSize, pp_size: 1 },
      quantization: { quant_algo: quantAlgo },
    },
    build_config: { max_batch_size: 256, max_num_tokens: 8192, max_seq_len: maxSeqLen, max_input_len: maxSeqLen - 1 },
  };
  const dir = mkdtempSync(path.join(tmpdir(), `llama-${shape}-`));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(path.join(dir, 'config.json'), JSON.stringify(config));
  return dir;
}
