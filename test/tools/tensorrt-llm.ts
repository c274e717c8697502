import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from './engines.js';
import { PROJECT_ROOT } from './project.js';
import { standInLibrary } from './stand-in.js';

/** Where `npm run test:native` puts the stand-in for TensorRT-LLM 1.2, and our executor over it. */
export const STAND_IN_LIBS = join(PROJECT_ROOT, 'build/stand-in-1.2/tensorrt_llm/libs');
export const TENSORRT_LLM_LIBRARY = standInLibrary('1.2');

type Json = { [name: string]: Json } & Record<string, unknown>;

/** config.json of an engine of one rank that the stand-in answers with letters, and a change to it. */
export function engineConfig(change: (config: Json) => void = () => {}): string {
  const config = {
    version: '1.2.1',
    pretrained_config: {
      architecture: 'LlamaForCausalLM',
      dtype: 'float16',
      vocab_size: 259,
      mapping: { world_size: 1, gpus_per_node: 8, tp_size: 1, pp_size: 1, cp_size: 1 },
      quantization: { quant_algo: null, kv_cache_quant_algo: null },
    },
    build_config: {
      max_batch_size: 4,
      max_beam_width: 1,
      max_num_tokens: 64,
      max_seq_len: 64,
      gather_context_logits: false,
      lora_config: { lora_target_modules: [] },
      plugin_config: { tokens_per_block: 32, use_paged_context_fmha: true, lora_plugin: 'float16' },
    },
  };
  change(config as unknown as Json);
  return JSON.stringify(config);
}

/** A new engine directory of one rank with this config.json. */
export async function engineWithConfig(config = engineConfig()): Promise<string> {
  const dir = await temporaryDirectory();
  await writeFile(join(dir, 'config.json'), config);
  await writeFile(join(dir, 'rank0.engine'), 'the stand-in answers with letters');
  return dir;
}
