import type { JsonFields } from '../../base/json.js';

/** How rotary frequencies are scaled, in Hugging Face's terms; no scaling is null. */
export type RotaryScaling =
  | { readonly rope_type: 'linear' | 'dynamic'; readonly factor: number }
  | {
      readonly rope_type: 'llama3';
      readonly factor: number;
      readonly low_freq_factor: number;
      readonly high_freq_factor: number;
      readonly original_max_position_embeddings: number;
    }
  | ({
      readonly rope_type: 'yarn';
      readonly factor: number;
      readonly original_max_position_embeddings: number;
      readonly truncate?: boolean;
    } & { readonly [field in (typeof YARN_NUMBERS)[number]]?: number });

const YARN_NUMBERS = ['attention_factor', 'beta_fast', 'beta_slow', 'mscale', 'mscale_all_dim'] as const;

/** The fields of each type; `finetuned` is about how a model came to be. */
const FIELDS = {
  default: ['original_max_position_embeddings'], // left behind where a scaling was taken out
  linear: ['factor', 'original_max_position_embeddings'], // not used by linear scaling, but common
  dynamic: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
  yarn: ['factor', 'original_max_position_embeddings', 'truncate', 'finetuned', ...YARN_NUMBERS],
} as const;
const TYPES = ['default', 'linear', 'dynamic', 'llama3', 'yarn'] as const;

/**
 * Reads a `rope_scaling`, `rope_parameters` or `rotary_scaling` object. Its type is in `rope_type`, in older files in `type`.
 * @param positions the model's `max_position_embeddings`.
 * @param original the `original_max_position_embeddings` beside the object, which transformers prefers to the one in it.
 */
export function parseRotaryScaling(rope: JsonFields, positions: number, original?: number): RotaryScaling | null {
  const name = rope.has('rope_type') ? 'rope_type' : 'type';
  const rope_type = rope.oneOf(name, TYPES, { fallback: 'default' });
  const known: readonly string[] = ['rope_type', 'type', 'rope_theta', ...FIELDS[rope_type]];
  for (const field of Object.keys(rope.object)) {
    const isWhole = field === 'partial_rotary_factor' && rope.object[field] === 1;
    if (!known.includes(field) && rope.has(field) && !isWhole) {
      throw rope.error(field, `no such field with ${name} "${rope_type}"`, 'ERR_MODEL_UNSUPPORTED');
    }
  }
  const originalPositions = (): number =>
    original ?? rope.integer('original_max_position_embeddings', { min: 1, fallback: positions });
  switch (rope_type) {
    case 'default':
      return null;
    case 'linear':
    case 'dynamic':
      return { rope_type, factor: rope.positive('factor') };
    case 'llama3': {
      const factor = rope.positive('factor');
      const low_freq_factor = rope.positive('low_freq_factor');
      const high_freq_factor = rope.positive('high_freq_factor');
      if (high_freq_factor <= low_freq_factor) {
        throw rope.error('high_freq_factor', `more than low_freq_factor (${low_freq_factor})`);
      }
      const original_max_position_embeddings = originalPositions();
      return { rope_type, factor, low_freq_factor, high_freq_factor, original_max_position_embeddings };
    }
    case 'yarn': {
      const original_max_position_embeddings = originalPositions();
      // 0 is the same as no such field, as in transformers.
      const numbers = YARN_NUMBERS.filter((field) => rope.has(field) && rope.object[field] !== 0);
      return {
        rope_type,
        factor: rope.positive('factor', { fallback: positions / original_max_position_embeddings }),
        original_max_position_embeddings,
        ...(rope.has('truncate') && { truncate: rope.boolean('truncate') }),
        ...Object.fromEntries(numbers.map((field) => [field, rope.positive(field)])),
      };
    }
  }
}

const MOST_POSITIONS = 2 ** 27;

/**
 * How long a sequence may be: linear, dynamic and yarn scaling stretch what the model was trained for, which is what
 * trtllm-build goes by too; the positions of llama3 have the stretch in them.
 */
export function scaledPositions(positions: number, scaling: RotaryScaling | null): number {
  const stretched =
    scaling?.rope_type === 'linear' || scaling?.rope_type === 'dynamic'
      ? positions * scaling.factor
      : scaling?.rope_type === 'yarn'
        ? scaling.original_max_position_embeddings * scaling.factor
        : positions;
  return Math.min(Math.max(Math.floor(stretched), positions), Math.max(positions, MOST_POSITIONS));
}
