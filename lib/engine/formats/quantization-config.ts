import { show } from '../../base/checks.js';
import { LLMError } from '../../base/errors.js';
import { isJsonObject, type JsonFields } from '../../base/json.js';

/** What a model's files say of how its weights are quantized. */
export interface SourceQuantization {
  readonly format: 'gptq' | 'awq' | 'packed' | 'fp8';
  /** For messages, such as "GPTQ". */
  readonly label: string;
  /** Of int4: how many inputs share a scale; -1: all. */
  readonly groupSize: number;
  /** Of GPTQ: what is added to a stored zero point. */
  readonly zeroOffset: 0 | 1;
  /** Whether keys and values are meant to be cached as FP8. */
  readonly hasFp8KvCache: boolean;
  /** Of FP8 with a bound for the inputs. */
  readonly clampVal: readonly [number, number] | null;
}

const DEFAULTS = { groupSize: 128, zeroOffset: 0, hasFp8KvCache: false, clampVal: null } as const;

const WAY_AROUND =
  'Convert the model it was made from, or a version of it in GPTQ or AWQ (4 bits) or FP8, or a GGUF file.';

/** What is not read, by `quant_method`, and its name. */
const REFUSED: Readonly<Record<string, string>> = {
  bitsandbytes: 'bitsandbytes',
  mxfp4: 'MXFP4',
  nvfp4: 'NVFP4',
  exl2: 'EXL2',
  exl3: 'EXL3',
  hqq: 'HQQ',
  aqlm: 'AQLM',
  quip: 'QuIP',
  spqr: 'SpQR',
  vptq: 'VPTQ',
  higgs: 'HIGGS',
  eetq: 'EETQ',
  quanto: 'Quanto',
  torchao: 'torchao',
  quark: 'Quark',
  bitnet: 'BitNet',
  'auto-round': 'AutoRound',
};

/**
 * Reads `quantization_config` of a config.json, or ModelOpt's hf_quant_config.json. What is not read is refused by name, and so is any field
 * that may change the values and is not known here.
 */
export function parseSourceQuantization(
  config: JsonFields,
  modelOpt: JsonFields | undefined,
): SourceQuantization | undefined {
  if (config.has('quantization_config')) return parseMethod(config.child('quantization_config'));
  return modelOpt && parseModelOpt(modelOpt.child('quantization'));
}

function parseMethod(fields: JsonFields): SourceQuantization {
  const method = fields.string('quant_method', { fallback: '' });
  switch (method) {
    case 'gptq':
      return parseGptq(fields);
    case 'awq':
      return parseAwq(fields);
    case 'compressed-tensors':
      return parseCompressedTensors(fields);
    case 'modelopt':
      return parseModelOpt(fields.has('quantization') ? fields.child('quantization') : fields);
    case 'fbgemm_fp8':
      return parseFbgemm(fields);
    case 'fp8':
      return parseFp8(fields);
  }
  const isBitsAndBytes = fields.object.load_in_4bit === true || fields.object.load_in_8bit === true;
  const name = isBitsAndBytes ? 'bitsandbytes' : REFUSED[method];
  const { file } = fields.context;
  throw new LLMError(
    'ERR_MODEL_UNSUPPORTED',
    name === undefined
      ? `${file}: ${fields.prefix}quant_method is ${show(fields.object.quant_method)}; expected gptq, awq, compressed-tensors, modelopt, fp8 or fbgemm_fp8. ${WAY_AROUND}`
      : `${file}: the weights are quantized by ${name}; expected GPTQ, AWQ, compressed-tensors, ModelOpt or FP8. ${WAY_AROUND}`,
  );
}

function refuse(fields: JsonFields, name: string, expected: string, fix = WAY_AROUND): LLMError {
  const { file } = fields.context;
  const value = fields.object[name];
  const found = value === undefined ? 'is missing' : `is ${show(value)}`;
  return new LLMError(
    'ERR_MODEL_UNSUPPORTED',
    `${file}: ${fields.prefix}${name} ${found}; expected ${expected}. ${fix}`,
  );
}

/** A field that says how the values are stored must be known; those about how they were found are not looked at. */
const ABOUT_CALIBRATION =
  /^(quant_method|method|meta|backend|tokenizer|dataset|producer|version|ignore|ignored_layers|exclude_modules|modules_to_not_convert|modules_in_block_to_quantize|block_name_to_quantize|module_name_preceding_first_block|quantization_status|global_compression_ratio|activation_scheme)$|^(damp|calib|model_|batch|pad_token|max_|use_|exllama|disable_|cache_|true_sequential|static_groups|act_group_aware|mse|observer|duo_scaling|apply_clip|n_parallel|offload|auto_|vram|gptaq|foem|failsafe|fallback|hyb_act|moe)/;

function refuseUnknown(fields: JsonFields, known: readonly string[]): void {
  for (const [name, value] of Object.entries(fields.object)) {
    if (known.includes(name) || ABOUT_CALIBRATION.test(name) || saysNothing(value)) continue;
    throw refuse(
      fields,
      name,
      'no such field, because it may change the weights',
      'Remove it if the program that made the model does not need it.',
    );
  }
}

const saysNothing = (value: unknown): boolean =>
  value === null ||
  value === false ||
  value === 0 ||
  value === '' ||
  (Array.isArray(value) && value.length === 0) ||
  (isJsonObject(value) && Object.keys(value).length === 0);

function expect<const T extends string | number | boolean>(
  fields: JsonFields,
  name: string,
  supported: readonly T[],
  fallback?: T,
): T {
  const value = fields.has(name) ? fields.object[name] : fallback;
  const found = supported.find((each) => each === (typeof value === 'string' ? value.toLowerCase() : value));
  if (found !== undefined) return found;
  throw refuse(fields, name, supported.map((each) => JSON.stringify(each)).join(' or '));
}

function groupSizeOf(fields: JsonFields, name = 'group_size'): number {
  const value = fields.object[name] ?? 128;
  if (value === -1 || (Number.isInteger(value) && Number(value) > 0)) return Number(value);
  throw fields.error(name, 'a number of inputs, or -1 for all');
}

function parseGptq(fields: JsonFields): SourceQuantization {
  refuseUnknown(fields, [
    'bits',
    'group_size',
    'desc_act',
    'sym',
    'format',
    'checkpoint_format',
    'pack_dtype',
    'lm_head',
    'dynamic',
  ]);
  expect(fields, 'bits', [4]);
  expect(fields, 'pack_dtype', ['int32'], 'int32');
  // Rules that start with "-:" leave modules out; the others give them other bits or groups.
  if (Object.keys(fields.child('dynamic').object).some((rule) => !rule.startsWith('-:'))) {
    throw refuse(fields, 'dynamic', 'one number of bits for all modules');
  }
  const name = fields.has('checkpoint_format') ? 'checkpoint_format' : 'format';
  const format = expect(fields, name, ['gptq', 'gptq_v2'], 'gptq');
  return {
    ...DEFAULTS,
    format: 'gptq',
    label: 'GPTQ',
    groupSize: groupSizeOf(fields),
    zeroOffset: format === 'gptq' ? 1 : 0,
  };
}

function parseAwq(fields: JsonFields): SourceQuantization {
  refuseUnknown(fields, [
    ...[
      'bits',
      'w_bit',
      'group_size',
      'q_group_size',
      'zero_point',
      'version',
      'format',
      'checkpoint_format',
      'pack_dtype',
    ],
    ...['desc_act', 'sym', 'lm_head'],
  ]);
  expect(fields, fields.has('w_bit') ? 'w_bit' : 'bits', [4], 4);
  expect(fields, 'zero_point', [true], true);
  for (const name of ['version', 'format', 'checkpoint_format']) expect(fields, name, ['gemm'], 'gemm');
  expect(fields, 'backend', ['auto', 'autoawq', 'gptqmodel'], 'auto');
  const groupSize = groupSizeOf(fields, fields.has('q_group_size') ? 'q_group_size' : 'group_size');
  return { ...DEFAULTS, format: 'awq', label: 'AWQ', groupSize };
}

function parseCompressedTensors(fields: JsonFields): SourceQuantization {
  refuseUnknown(fields, ['config_groups', 'format', 'kv_cache_scheme', 'sparsity_config']);
  expect(fields.child('sparsity_config'), 'format', ['dense'], 'dense');
  const groups = fields.child('config_groups');
  const schemes = Object.keys(groups.object).map((name) => parseScheme(groups.child(name), fields));
  const [first] = schemes;
  if (!first) throw fields.error('config_groups', 'how the weights are quantized');
  if (schemes.some(({ format, groupSize }) => format !== first.format || groupSize !== first.groupSize)) {
    throw refuse(fields, 'config_groups', 'one kind of weights for all modules');
  }
  return { ...DEFAULTS, ...first, hasFp8KvCache: hasFp8KvCache(fields) };
}

function parseScheme(
  scheme: JsonFields,
  config: JsonFields,
): Pick<SourceQuantization, 'format' | 'label' | 'groupSize'> {
  refuseUnknown(scheme, ['targets', 'weights', 'input_activations', 'format']);
  const format = expect(scheme.has('format') ? scheme : config, 'format', [
    'pack-quantized',
    'float-quantized',
    'naive-quantized',
  ]);
  const weights = scheme.child('weights');
  refuseUnknown(weights, [
    ...['num_bits', 'type', 'symmetric', 'strategy', 'group_size', 'block_structure', 'dynamic', 'actorder'],
    ...['scale_dtype', 'zp_dtype'],
  ]);
  expect(weights, 'dynamic', [false], false);
  if (format === 'pack-quantized') {
    expect(weights, 'type', ['int'], 'int');
    expect(weights, 'num_bits', [4]);
    if (scheme.has('input_activations'))
      throw refuse(scheme, 'input_activations', 'null: 4-bit weights with float inputs');
    const strategy = expect(weights, 'strategy', ['group', 'channel'], weights.has('group_size') ? 'group' : 'channel');
    return {
      format: 'packed',
      label: 'compressed-tensors',
      groupSize: strategy === 'group' ? groupSizeOf(weights) : -1,
    };
  }
  expect(weights, 'type', ['float']);
  expect(weights, 'num_bits', [8]);
  expect(weights, 'strategy', ['tensor', 'channel'], 'tensor');
  const inputs = scheme.child('input_activations');
  expect(inputs, 'type', ['float'], 'float');
  expect(inputs, 'num_bits', [8], 8);
  expect(inputs, 'strategy', ['tensor', 'token'], 'tensor');
  return { format: 'fp8', label: 'FP8', groupSize: -1 };
}

/** compressed-tensors and newer ModelOpt have an object, older ModelOpt has a name. */
function hasFp8KvCache(fields: JsonFields): boolean {
  if (!fields.has('kv_cache_scheme')) return false;
  if (fields.object.kv_cache_scheme === 'FP8') return true;
  const scheme = fields.child('kv_cache_scheme');
  expect(scheme, 'type', ['float'], 'float');
  expect(scheme, 'num_bits', [8]);
  return true;
}

function parseModelOpt(fields: JsonFields): SourceQuantization {
  const name = fields.has('kv_cache_quant_algo') ? 'kv_cache_quant_algo' : 'kv_cache_quant_algorithm';
  refuseUnknown(fields, ['quant_algo', name, 'kv_cache_scheme', 'config_groups', 'group_size']);
  if (fields.has(name)) expect(fields, name, ['fp8']);
  expect(fields, 'quant_algo', ['fp8', 'fp8_per_channel_per_token']);
  return { ...DEFAULTS, format: 'fp8', label: 'FP8', hasFp8KvCache: fields.has(name) || hasFp8KvCache(fields) };
}

function parseFbgemm(fields: JsonFields): SourceQuantization {
  refuseUnknown(fields, ['activation_scale_ub']);
  const bound = fields.positive('activation_scale_ub', { fallback: 1200 });
  return { ...DEFAULTS, format: 'fp8', label: 'FP8', clampVal: [-bound, bound] };
}

/** The FP8 of vLLM and AutoFP8; what transformers writes by this name has a scale for each block of 128 x 128. */
function parseFp8(fields: JsonFields): SourceQuantization {
  refuseUnknown(fields, ['kv_cache_scheme', 'fmt']);
  if (fields.has('weight_block_size')) throw refuse(fields, 'weight_block_size', 'a scale for each matrix or output');
  expect(fields, 'fmt', ['e4m3'], 'e4m3');
  return { ...DEFAULTS, format: 'fp8', label: 'FP8', hasFp8KvCache: fields.has('kv_cache_scheme') };
}
