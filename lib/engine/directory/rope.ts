import type { JsonFields } from '../../base/json.js';

/** How rotary frequencies are scaled, in Hugging Face's terms; no scaling is null. */
export type RotaryScaling =
  | { readonly rope_type: 'linear'; readonly factor: number }
  | {
      readonly rope_type: 'llama3';
      readonly factor: number;
      readonly low_freq_factor: number;
      readonly high_freq_factor: number;
      readonly original_max_position_embeddings: number;
    };

const LLAMA3_FIELDS = ['low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'];

/** Reads a `rope_scaling`, `rope_parameters` or `rotary_scaling` object. Its type is in `rope_type`, in older files in `type`. */
export function parseRotaryScaling(rope: JsonFields): RotaryScaling | null {
  const name = rope.has('rope_type') ? 'rope_type' : 'type';
  const type = rope.oneOf(name, ['default', 'linear', 'llama3'], { fallback: 'default' });
  const known = ['rope_type', 'type', 'rope_theta', 'factor', ...(type === 'linear' ? [] : LLAMA3_FIELDS)];
  for (const field of Object.keys(rope.object)) {
    if (!known.includes(field) && rope.has(field)) {
      throw rope.error(field, `no such field with ${name} "${type}"`, 'ERR_MODEL_UNSUPPORTED');
    }
  }
  if (type === 'default') return null;
  const factor = rope.positive('factor');
  if (type === 'linear') return { rope_type: type, factor };
  const low_freq_factor = rope.positive('low_freq_factor');
  const high_freq_factor = rope.positive('high_freq_factor');
  if (high_freq_factor <= low_freq_factor) {
    throw rope.error('high_freq_factor', `more than low_freq_factor (${low_freq_factor})`);
  }
  const original_max_position_embeddings = rope.integer('original_max_position_embeddings', { min: 1 });
  return { rope_type: type, factor, low_freq_factor, high_freq_factor, original_max_position_embeddings };
}
