import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { LLMError } from 'node-tensorrt-llm';
import { fromExecutor, optionOf } from '#lib/addon/executor-error.js';
import { capabilitiesOf } from '#lib/options/capabilities.js';
import { readGenerateOptions } from '#lib/options/generate.js';
import { readLoadOptions } from '#lib/options/load.js';
import { MEMBERS } from '../tools/told.js';

// lib/ has some numbers of native/executor/*.h a second time. The headers are the contract.
const root = dirname(createRequire(import.meta.url).resolve('node-tensorrt-llm/package.json'));
const header = (name: string): string => readFileSync(join(root, 'native/executor', name), 'utf8');

test('every code of the contract becomes the error code that its header names', () => {
  const codes = [...header('types.h').matchAll(/^ {2}EXECUTOR_\w+ = (\d+), +\/\/ (ERR_\w+)/gm)];
  assert.ok(codes.length > 10);
  for (const [, number, code] of codes) assert.equal(fromExecutor(Number(number), '').code, code);
});

test('every capability bit of the contract has its name', () => {
  const bits = [...header('executor.h').matchAll(/^ {2}CAN_(\w+) = 1ull << (\d+),/gm)];
  const named = (bit: number): string[] =>
    Object.entries(capabilitiesOf(2 ** bit)).flatMap(([name, has]) => (has ? [name] : []));
  const camelCase = (name: string): string => name.toLowerCase().replaceAll(/_(.)/g, (_, c: string) => c.toUpperCase());
  assert.deepEqual(
    bits.map(([, , bit]) => named(Number(bit))),
    bits.map(([, name]) => [camelCase(name as string)]),
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
    'size set engine_dir on_progress on_log context iteration_stats request_stats transceiver additional_output_context',
  ExecutorSchedulerConfig: 'size set',
  ExecutorKvCacheConfig: 'size set cross_fraction event_buffer_size events_gather_period_ms', // no encoder, no events yet
  ExecutorParallelConfig: 'size set',
  ExecutorPeftCacheConfig: 'size set',
  ExecutorDecodingConfig: 'size',
  ExecutorGuidedConfig: 'size vocabulary tokenizer_json stop_tokens', // the tokenizer's
  ExecutorPerfConfig: 'size set prompt_table_offloading',
  ExecutorSampling: 'size set',
  ExecutorOutputConfig: 'size flags', // a flag has its option: logprobs, returnContextLogits, returnGenerationLogits
  ExecutorLora: 'size reserved',
  ExecutorKvRetention: 'size set',
  ExecutorExternalDraft: 'size has_acceptance_threshold',
  ExecutorEagle: 'size set',
  ExecutorLookahead: '',
  // The input's: tokens. Of what this package does not do yet: position_ids, multimodal, language_adapter, type, context_phase.
  ExecutorRequest:
    'size set id tokens streaming end_ids pad_id position_ids language_adapter type multimodal context_phase sampling output',
};
/** What stands before the names of their fields in a message. */
const GROUPS: Readonly<Record<string, string>> = {
  ExecutorSchedulerConfig: 'scheduler.',
  ExecutorKvCacheConfig: 'kv_cache.',
  ExecutorParallelConfig: 'parallel.',
  ExecutorPeftCacheConfig: 'peft_cache.',
  ExecutorDecodingConfig: 'decoding.',
  ExecutorGuidedConfig: 'guided.',
  ExecutorPerfConfig: 'perf.',
  ExecutorSampling: 'sampling.',
  ExecutorOutputConfig: 'output.',
  ExecutorLora: 'lora.',
  ExecutorKvRetention: 'kv_retention.',
  ExecutorExternalDraft: 'external_draft.',
  ExecutorEagle: 'eagle.',
  ExecutorLookahead: 'lookahead.',
};

for (const [struct, without] of Object.entries(WITHOUT_OPTION)) {
  test(`each field of ${struct} has an option of its name, but for those that are known to have none`, () => {
    const fields = (MEMBERS.get(struct) ?? []).filter((name) => !/_count$/.test(name));
    assert.ok(fields.length > 1);
    const options = fields.filter((name) => !without.split(' ').includes(name));
    for (const name of options) {
      const option = optionOf(`${GROUPS[struct] ?? ''}${name}`) ?? assert.fail(`${name} has no option`);
      assert.ok(isKnown(option.replace(/ \(.*/, '')), `${name}: there is no option ${option}`);
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
      return LLMError.is(error) && error.message.startsWith(`${path} is`);
    }
    return false;
  });
}

test('a message about an option names it as users do', () => {
  assert.equal(fromExecutor(14, 'max_queue_size is 4').message, 'maxQueue is 4');
  assert.equal(fromExecutor(13, 'scheduler.batch_size_table is set').message, 'scheduler.batchSizeTable is set');
  assert.equal(fromExecutor(13, 'sampling.top_p_min; (lora.task_id)').message, 'topPMin; (lora.id)');
  const others = 'build it with --gather_context_logits; /a/max_seq_len/b.so, hidden_states, config.json, rank0.engine';
  assert.equal(fromExecutor(13, others).message, others, 'what only looks like a field stays');
  assert.equal(fromExecutor(9, 'sampling.sequences is 3').message, 'n (or bestOf) is 3');
  assert.equal(fromExecutor(9, 'kv_cache.max_tokens is 0').message, 'kvCache.maxTokens is 0');
  assert.equal(fromExecutor(5, 'max_batch_size is no number').message, 'max_batch_size is no number');
});
