import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TinyTensor, writeSafetensors } from './tiny-llama.js';

export const TINY_ADAPTER_CONFIG = { peft_type: 'LORA', r: 2, lora_alpha: 4, bias: 'none' } as const;

/** The matrices of an adapter of queries and values, as PEFT names them, for the model of an engine. */
export async function tinyAdapterTensors(engineDir: string, seed: number): Promise<TinyTensor[]> {
  const { pretrained_config: model } = JSON.parse(await readFile(join(engineDir, 'config.json'), 'utf8'));
  const { r } = TINY_ADAPTER_CONFIG;
  const matrix = (name: string, shape: readonly [number, number]): TinyTensor => ({
    name: `base_model.model.model.layers.0.self_attn.${name}.weight`,
    shape,
    data: Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => Math.sin(seed * 1000 + i * i)),
  });
  return ['q', 'v'].flatMap((letter) => {
    const heads = letter === 'q' ? model.num_attention_heads : model.num_key_value_heads;
    return [
      matrix(`${letter}_proj.lora_A`, [r, model.hidden_size]),
      matrix(`${letter}_proj.lora_B`, [heads * model.head_size, r]),
    ];
  });
}

/** Writes an adapter as PEFT saves it into a new directory. */
export async function writeAdapter(dir: string, tensors: readonly TinyTensor[], config: object = {}): Promise<string> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'adapter_config.json'), JSON.stringify({ ...TINY_ADAPTER_CONFIG, ...config }));
  await writeSafetensors(join(dir, 'adapter_model.safetensors'), tensors);
  return dir;
}
