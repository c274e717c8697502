import { join } from 'node:path';
import { LLMError } from '../../base/errors.js';
import { isJsonObject, type JsonFields, readJsonIfThere } from '../../base/json.js';

export interface PeftConfig {
  /** LoRA rank, of every module. */
  readonly rank: number;
  /** What the product of both matrices is multiplied by. */
  readonly scale: number;
}

const MAX_RANK = 512; // kLargestLoraRank of native/embedded/adapter.h
const FIX = 'Save the adapter again with PEFT, or copy it again.';

/** What changes what an adapter computes, or which weights it belongs to, and must be off. */
const MUST_BE_OFF: readonly (readonly [field: string, why: string])[] = [
  ['use_dora', 'DoRA has a magnitude beside the matrices'],
  ['use_qalora', 'QALoRA pools the input'],
  ['lora_bias', 'only matrices are read'],
  ['fan_in_fan_out', 'the matrices must be those of linear layers'],
  ['modules_to_save', 'only matrices are read'],
  ['rank_pattern', 'the rank must be one for all modules'],
  ['alpha_pattern', 'the scale must be one for all modules'],
  ['layer_replication', "the layers must be the engine's"],
  ['trainable_token_indices', 'only matrices of attention and feed-forward parts are read'],
  ['target_parameters', 'only matrices of linear layers are read'],
  ['alora_invocation_tokens', 'the adapter must apply to all tokens'],
  ['megatron_config', 'the matrices must be whole'],
];
/** Those that train the matrices over weights that are not the model's own. */
const INITS_OF_OTHER_WEIGHTS = /^(pissa|olora|corda|loftq)/;

/** Whether it is what PEFT writes where the option is not used. */
const isOff = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  (Array.isArray(value) && value.length === 0) ||
  (isJsonObject(value) && Object.keys(value).length === 0);

/** Reads `adapter_config.json` of PEFT. */
export async function readPeftConfig(dir: string): Promise<PeftConfig> {
  const file = join(dir, 'adapter_config.json');
  const config = await readJsonIfThere({ file, code: 'ERR_SOURCE_INVALID', fix: FIX });
  if (!config) {
    throw new LLMError(
      'ERR_SOURCE_NOT_FOUND',
      `${file} does not exist; expected it beside adapter_model.safetensors, as PEFT's save_pretrained() writes them. Check the path.`,
    );
  }
  if (config.string('peft_type') !== 'LORA') throw unsupported(config, 'peft_type', "'LORA'");
  for (const [field, why] of MUST_BE_OFF) {
    if (!isOff(config.object[field])) throw unsupported(config, field, `it off, because ${why}`);
  }
  if (config.string('bias', { fallback: 'none' }) !== 'none') throw unsupported(config, 'bias', "'none'");
  const init = config.object.init_lora_weights;
  if (typeof init === 'string' && INITS_OF_OTHER_WEIGHTS.test(init)) {
    throw unsupported(
      config,
      'init_lora_weights',
      "an adapter over the model's own weights, which PEFT can convert it to",
    );
  }
  const rank = config.integer('r', { min: 1, max: MAX_RANK });
  const alpha = config.number('lora_alpha');
  return { rank, scale: alpha / (config.boolean('use_rslora', { fallback: false }) ? Math.sqrt(rank) : rank) };
}

const unsupported = (config: JsonFields, field: string, expected: string): LLMError =>
  config.error(field, expected, 'ERR_MODEL_UNSUPPORTED');
