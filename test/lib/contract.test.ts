import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { LLMError } from 'node-tensorrt-llm';
import { fromExecutor, fromNative } from '#lib/addon/executor-error.js';
import { capabilitiesOf } from '#lib/options/capabilities.js';
import { readGenerateOptions } from '#lib/options/generate.js';
import { readLoadOptions } from '#lib/options/load.js';
import { MEMBERS } from '../tools/told.js';

// lib/ has some numbers of native/executor/*.h a second time. The headers are the contract.
const root = dirname(createRequire(import.meta.url).resolve('node-tensorrt-llm/package.json'));
const header = (name: string): string => readFileSync(join(root, 'native/executor', name), 'utf8');

const camelCase = (name: string): string => name.replaceAll(/_(.)/g, (_, c: string) => c.toUpperCase());

test('every code of the contract becomes the error code that its header names', () => {
  const codes = [...header('types.h').matchAll(/^ {2}EXECUTOR_\w+ = (\d+), +\/\/ (ERR_\w+)/gm)];
  assert.ok(codes.length > 10);
  for (const [, number, code] of codes) assert.equal(fromExecutor(Number(number), '').code, code);
});

test('every capability bit of the contract has its name', () => {
  const bits = [...header('executor.h').matchAll(/^ {2}CAN_(\w+) = 1ull << (\d+),/gm)];
  const named = (bit: number): string[] =>
    Object.entries(capabilitiesOf(2 ** bit)).flatMap(([name, has]) => (has ? [name] : []));
  assert.deepEqual(
    bits.map(([, , bit]) => named(Number(bit))),
    bits.map(([, name]) => [camelCase((name as string).toLowerCase())]),
  );
});

const tensorOf = (dataType: string): unknown => {
  const arrays = [new Float32Array(1), new Uint16Array(1), new BigInt64Array(1), new Int32Array(1), new Int8Array(1)];
  const tensors = [...arrays, new Uint8Array(1)].map((data) => ({ data, shape: [1], dataType }));
  const read = (tensor: object) => readGenerateOptions({ draft: { tokens: [1], logits: tensor } }, {}).extras.draft;
  return tensors.flatMap((tensor) => {
    try {
      return [read(tensor)?.logits?.dataType];
    } catch {
      return [];
    }
  })[0];
};
const ENUMERATIONS: Readonly<Record<string, (name: string) => unknown>> = {
  CAPACITY: (name) => readLoadOptions({ scheduler: { capacityPolicy: name } }).scheduler?.capacityPolicy,
  CHUNKING: (name) => readLoadOptions({ scheduler: { chunkingPolicy: name } }).scheduler?.chunkingPolicy,
  COMMUNICATION: (name) => readLoadOptions({ parallel: { mode: name } }).parallel?.mode,
  DECODING: (name) => readLoadOptions({ decoding: { mode: name } }).decoding?.mode,
  GUIDED_BACKEND: (name) => readLoadOptions({ guidedDecoding: name }).guidedDecoding,
  TRANSFER: (name) => readGenerateOptions({ kvRetention: { transferMode: name } }, {}).extras.kvRetention?.transferMode,
  DATA_TYPE: (name) => tensorOf(name.replaceAll('-', '_')),
};
for (const [prefix, numberOf] of Object.entries(ENUMERATIONS)) {
  test(`each ${prefix}_ of the contract has its name and its number`, () => {
    const headers = header('config.h') + header('request.h') + header('types.h');
    const enumerators = [...headers.matchAll(RegExp(`\\b${prefix}_(\\w+) = (\\d+)`, 'g'))];
    assert.ok(enumerators.length > 1);
    for (const [, name = '', number] of enumerators) {
      assert.equal(numberOf(name.toLowerCase().replaceAll('_', '-')), Number(number), name);
    }
  });
}

/** Fields that no option sets, and why. */
const WITHOUT_OPTION: Readonly<Record<string, string>> = {
  ExecutorConfig:
    'size set reserved engine_dir on_progress on_log context iteration_stats transceiver additional_output_context',
  ExecutorSchedulerConfig: 'size set',
  ExecutorKvCacheConfig: 'size set cross_fraction events_gather_period_ms', // no encoder, no attention data parallelism
  ExecutorParallelConfig: 'size set',
  ExecutorPeftCacheConfig: 'size set',
  ExecutorDecodingConfig: 'size',
  ExecutorPromptLookup: 'size set',
  ExecutorDraftModel: 'size set',
  ExecutorGuidedDecodingConfig:
    'size backend vocabulary tokenizer_json stop_tokens token_bytes token_offsets token_special token_count optional', // guidedDecoding is the backend alone
  ExecutorPerfConfig: 'size set prompt_table_offloading',
  ExecutorSampling: 'size set prompt_ignore_length', // goes with the penalties: an output's tokens alone are counted
  ExecutorOutputConfig: 'size flags pooling', // pooling is embed()'s
  ExecutorLora: 'size reserved',
  ExecutorKvRetention: 'size set',
  ExecutorGuided: 'kind guide', // an option for each kind
  ExecutorDraft: 'size has_acceptance_threshold',
  ExecutorEagle: 'size set',
  ExecutorLookahead: '',
  ExecutorLogitBias: 'tokens values', // logitBias itself
  // The input's: tokens. The response template's: reasoning. Of what this package does not do yet: position_ids, multimodal, language_adapter, type, context_phase.
  ExecutorRequest:
    'size set id tokens streaming end_ids pad_id position_ids language_adapter type multimodal context_phase sampling output reasoning',
};
/** The groups of fields that are options of their own. `sampling` and `output` hold a request's own options. */
const GROUPS: Readonly<Record<string, string>> = {
  ExecutorSchedulerConfig: 'scheduler',
  ExecutorKvCacheConfig: 'kv_cache',
  ExecutorParallelConfig: 'parallel',
  ExecutorPeftCacheConfig: 'peft_cache',
  ExecutorDecodingConfig: 'decoding',
  ExecutorPromptLookup: 'decoding.prompt_lookup',
  ExecutorDraftModel: 'decoding.draft_model',
  ExecutorPerfConfig: 'perf',
  ExecutorLora: 'lora',
  ExecutorKvRetention: 'kv_retention',
  ExecutorDraft: 'draft',
  ExecutorEagle: 'eagle',
  ExecutorLookahead: 'lookahead',
};

for (const [struct, without] of Object.entries(WITHOUT_OPTION)) {
  test(`each field of ${struct} has an option of its name, but for those that are known to have none`, () => {
    const fields = (MEMBERS.get(struct) ?? []).filter((name) => !/_count$|^count$/.test(name));
    assert.ok(fields.length > 1);
    const group = GROUPS[struct];
    for (const name of fields) {
      if (without.split(' ').includes(name)) continue;
      const option = camelCase(group === undefined ? name : `${group}.${name}`);
      assert.ok(isKnown(option), `${struct}.${name}: there is no option ${option}`);
    }
  });
}

for (const [prefix, read] of [
  ['OUTPUT_', (name: string) => name],
  ['GUIDE_', (name: string) => `guided.${name}`],
] as const) {
  test(`each ${prefix} of the contract has an option of its name`, () => {
    const names = [...header('request.h').matchAll(RegExp(`^ {2}${prefix}(\\w+) = `, 'gm'))].map(([, name]) => name);
    assert.ok(names.length > 3);
    for (const name of names as string[]) {
      if (name === 'RETURN_PERF_METRICS') continue; // always on: usage and timing come with every result
      const option = camelCase(read(name.toLowerCase()));
      assert.ok(isKnown(option), `there is no option ${option}`);
    }
  });
}

/** Whether `path` is an option, by what is said of it when its value is wrong. */
function isKnown(path: string): boolean {
  const options = path.split('.').reduceRight<unknown>((value, name) => ({ [name]: value }), Symbol('no value'));
  return [readLoadOptions, (each: unknown) => readGenerateOptions(each, {})].some((read) => {
    try {
      read(options);
    } catch (error) {
      return LLMError.is(error) && error.option === path && error.message.startsWith(`${path} is`);
    }
    return false;
  });
}

test('what the addon throws becomes an LLMError with its code and its option', () => {
  const thrown = Object.assign(new Error('maxQueueSize is 4'), { executorCode: 14, option: 'maxQueueSize' });
  const { code, message, option } = fromNative(thrown);
  assert.deepEqual(
    { code, message, option },
    { code: 'ERR_QUEUE_FULL', message: 'maxQueueSize is 4', option: 'maxQueueSize' },
  );
  assert.equal(fromNative(Object.assign(new Error('no'), { executorCode: 1 })).option, undefined);
});
