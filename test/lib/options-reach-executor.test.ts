import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { type GenerateOptions, LLM, type LoadOptions, type Logger, type Tensor } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../tools/engines.js';
import { hasChunk } from '../tools/program.js';
import { presenceBit, readTold, type Told } from '../tools/told.js';

type NotTheExecutors =
  | 'signal'
  | 'stop'
  | 'badWords'
  | 'queueTimeoutMs'
  | 'addSpecialTokens'
  | 'skipSpecialTokens'
  | 'maxLogitsBytes'
  | 'responseTemplate'
  | 'bestOf';

const tensor: Required<Tensor> = { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3], dataType: 'float32' };
const toldTensor = { rank: 2, shape: [2, 3, 0, 0], data: [...new Uint8Array(tensor.data.buffer)] };
const eagle = { choices: [[1], [2, 3]], greedy: true, posteriorThreshold: 0.5, dynamicTree: true, dynamicTreeTopK: 7 };
const toldEagle = {
  set: 0b1111,
  greedy: 1,
  posterior_threshold: 0.5,
  dynamic_tree: 1,
  dynamic_tree_top_k: 7,
  choices: { count: 2, offsets: [0, 1, 3], tokens: [1, 2, 3] },
};

const everything: Required<Omit<GenerateOptions, NotTheExecutors>> = {
  maxTokens: 9,
  minTokens: 2,
  stopTokens: [65, [66, 67]],
  ignoreEos: false,
  timeoutMs: 60_000,
  temperature: 0.5,
  topK: 40,
  topP: 0.75,
  topPDecay: 0.875,
  topPMin: 0.125,
  topPResetToken: 11,
  minP: 0.25,
  seed: 2 ** 40,
  repetitionPenalty: 1.5,
  presencePenalty: 0.5,
  frequencyPenalty: -0.5,
  noRepeatNgramSize: 3,
  logitBias: { 5: -1, 7: 2 },
  badTokens: [[68, 69]],
  n: 2,
  beamWidth: 4,
  beamWidths: [2, 4],
  beamDiversityRate: 0.5,
  lengthPenalty: 2,
  earlyStopping: 'never',
  logprobs: true,
  topLogprobs: 3,
  promptLogprobs: true,
  topPromptLogprobs: 2,
  promptLogprobsStart: 1,
  returnContextLogits: true,
  returnGenerationLogits: true,
  additionalOutputs: ['hidden_states', 'router'],
  priority: 0.75,
  cacheSalt: 'tenant 1',
  kvRetention: {
    ranges: [
      { start: 1, end: 3, priority: 90, durationMs: 1000 },
      { start: 5, priority: 10 },
    ],
    decodePriority: 20,
    decodeDurationMs: 2000,
    transferMode: 'posix',
    directory: '/kv',
  },
  lora: { id: 2 ** 52, weights: tensor, config: { data: Int32Array.of(1, 2, 3), shape: [1, 3] } },
  lookahead: { window: 4, ngram: 3, verificationSet: 5 },
  guided: { jsonSchema: { type: 'string', pattern: '"\\n' } },
  eagle,
  draft: { tokens: Uint16Array.of(7, 8), logits: { ...tensor }, acceptanceThreshold: 0.25, fastLogits: true },
  promptLookup: true,
  draftModel: true,
};

const toldRequest = {
  set: 0b1101110,
  token_count: 2,
  tokens: [1, 2],
  max_tokens: 9,
  streaming: 1,
  end_id_count: 1,
  end_ids: [258],
  stop_tokens: { count: 2, offsets: [0, 1, 3], tokens: [65, 66, 67] },
  bad_tokens: { count: 1, offsets: [0, 2], tokens: [68, 69] },
  logit_bias: { count: 2, tokens: [5, 7], values: [-1, 2] },
  priority: 0.75,
  timeout_ms: 60_000,
  cache_salt: String(createHash('sha256').update('tenant 1').digest().readBigUInt64BE()),
  sampling: {
    set: 2 ** 19 - 1,
    temperature: 0.5,
    top_k: 40,
    top_p: 0.75,
    top_p_decay: 0.875,
    top_p_min: 0.125,
    top_p_reset_token: 11,
    min_p: 0.25,
    seed: 2 ** 40,
    min_tokens: 2,
    repetition_penalty: 1.5,
    presence_penalty: 0.5,
    frequency_penalty: -0.5,
    prompt_ignore_length: 2,
    no_repeat_ngram_size: 3,
    n: 2,
    beam_width: 4,
    beam_width_count: 2,
    beam_widths: [2, 4],
    beam_diversity_rate: 0.5,
    length_penalty: 2,
    early_stopping: 2,
  },
  output: {
    flags: 0b110111,
    top_logprobs: 3,
    top_prompt_logprobs: 2,
    prompt_logprobs_start: 1,
    additional_output_count: 2,
    additional_outputs: ['hidden_states', 'router'],
  },
  kv_retention: {
    set: 0b111,
    range_count: 2,
    ranges: [
      { set: 0b11, start: 1, end: 3, priority: 90, duration_ms: 1000 },
      { start: 5, priority: 10 },
    ],
    decode_priority: 20,
    decode_duration_ms: 2000,
    transfer_mode: 2,
    directory: '/kv',
  },
  lora: {
    id: 2 ** 52,
    weights: toldTensor,
    config: { data_type: 5, rank: 2, shape: [1, 3, 0, 0], data: [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0] },
  },
  lookahead: { window: 4, ngram: 3, verification_set: 5 },
  guided: { kind: 1, guide: JSON.stringify({ type: 'string', pattern: '"\\n' }) },
  eagle: toldEagle,
  draft: {
    token_count: 2,
    tokens: [7, 8],
    logits: toldTensor,
    has_acceptance_threshold: 1,
    acceptance_threshold: 0.25,
    fast_logits: 1,
  },
  prompt_lookup: 1,
  draft_model: 1,
};

const config: Required<
  Omit<
    LoadOptions,
    | 'executor'
    | 'isolation'
    | 'isolationEnv'
    | 'signal'
    | 'onProgress'
    | 'logger'
    | 'loadTimeoutMs'
    | 'chatTemplateLimits'
  >
> = {
  loadFormat: 'dummy',
  batchInvariant: true,
  threads: 3,
  maxBatchSize: 16,
  maxNumTokens: 512,
  maxSeqLen: 128,
  maxQueueSize: 9,
  maxBeamWidth: 4,
  kvCache: {
    maxTokens: 1024,
    maxBytes: 2 ** 34,
    freeMemoryFraction: 0.5,
    blockReuse: true,
    partialReuse: true,
    copyOnPartialReuse: true,
    hostBytes: 2 ** 33,
    onboardBlocks: true,
    offloadMinPriority: 35,
    maxAttentionWindows: [64, 128],
    sinkTokens: 4,
    uvm: true,
    dtype: 'int8',
    eventBufferSize: 100,
  },
  scheduler: {
    capacityPolicy: 'static-batch',
    chunkingPolicy: 'equal-progress',
    batchSizeTuning: true,
    maxNumTokensTuning: true,
    movingAverageWindow: 64,
    batchSizeTable: [
      [10, 8],
      [20, 16],
    ],
  },
  chunkedContext: true,
  tensorParallelSize: 2,
  parallel: {
    mode: 'orchestrator',
    deviceIds: [1, 2],
    participantIds: Int32Array.of(3, 4),
    nodes: 2,
    workerPath: '/worker',
    spawnProcesses: true,
  },
  decoding: {
    mode: 'eagle',
    lookahead: { window: 5, ngram: 6, verificationSet: 7 },
    eagle,
    medusaChoices: [[1, 2]],
    fastLogits: true,
    promptLookup: { maxDraftTokens: 5, maxMatchingNgram: 3 },
    draftModel: { engineDir: new URL('file:///draft'), maxDraftTokens: 6 },
  },
  guidedDecoding: 'llguidance',
  gatherGenerationLogits: true,
  normalizeLogprobs: true,
  additionalOutputs: [{ name: 'hidden_states', context: true }, { name: 'router' }],
  peftCache: {
    hostModuleLayers: 1,
    deviceModuleLayers: 2,
    optimalAdapterSize: 3,
    maxAdapterSize: 4,
    putWorkers: 5,
    ensureWorkers: 6,
    copyStreams: 7,
    hostPagesPerBlock: 8,
    devicePagesPerBlock: 9,
    deviceCacheFraction: 0.25,
    hostCacheBytes: 2 ** 32,
    loraPrefetchDir: '/lora',
  },
  gpuWeightsFraction: 0.5,
  perf: {
    multiBlockMode: true,
    contextFmhaFp32Accumulation: true,
    cudaGraph: true,
    cudaGraphCache: 3,
    gpuDirectStorage: true,
    trtOverlap: true,
  },
  receivePollPeriodMs: 5,
  maxSequenceIdleMs: 6000,
  failFastOnAttentionWindow: true,
  requestStats: true,
};

const toldConfig = {
  set: 2 ** 18 - 1 - (1 << 13), // all but that of iteration statistics
  load_format: 1,
  batch_invariant: 1,
  threads: 3,
  max_batch_size: 16,
  max_num_tokens: 512,
  max_seq_len: 128,
  max_queue_size: 9,
  max_beam_width: 4,
  chunked_context: 1,
  tensor_parallel_size: 2,
  gather_generation_logits: 1,
  normalize_logprobs: 1,
  gpu_weights_fraction: 0.5,
  receive_poll_period_ms: 5,
  max_sequence_idle_ms: 6000,
  fail_fast_on_attention_window: 1,
  request_stats: 1,
  additional_output_count: 2,
  additional_outputs: ['hidden_states', 'router'],
  additional_output_context: [1, 0],
  kv_cache: {
    set: 2 ** 15 - 1 - (1 << 6) - (1 << 12), // all but those of cross attention and of attention data parallelism
    max_tokens: 1024,
    max_bytes: 2 ** 34,
    free_memory_fraction: 0.5,
    block_reuse: 1,
    partial_reuse: 1,
    copy_on_partial_reuse: 1,
    host_bytes: 2 ** 33,
    onboard_blocks: 1,
    offload_min_priority: 35,
    max_attention_window_count: 2,
    max_attention_windows: [64, 128],
    sink_tokens: 4,
    uvm: 1,
    dtype: 1,
    event_buffer_size: 100,
  },
  scheduler: {
    set: 0b11111,
    capacity_policy: 2,
    chunking_policy: 1,
    batch_size_tuning: 1,
    max_num_tokens_tuning: 1,
    moving_average_window: 64,
    batch_size_table_count: 2,
    batch_size_table: [10, 8, 20, 16],
  },
  parallel: {
    set: 0b111,
    mode: 1,
    nodes: 2,
    spawn_processes: 1,
    device_id_count: 2,
    device_ids: [1, 2],
    participant_id_count: 2,
    participant_ids: [3, 4],
    worker_path: '/worker',
  },
  decoding: {
    mode: 9,
    fast_logits: 1,
    lookahead: { window: 5, ngram: 6, verification_set: 7 },
    eagle: toldEagle,
    medusa_choices: { count: 1, offsets: [0, 2], tokens: [1, 2] },
    prompt_lookup: { set: 0b11, max_draft_tokens: 5, max_matching_ngram: 3 },
    draft_model: { set: 1, engine_dir: '/draft', max_draft_tokens: 6 },
  },
  peft_cache: {
    set: 2 ** 11 - 1,
    host_module_layers: 1,
    device_module_layers: 2,
    optimal_adapter_size: 3,
    max_adapter_size: 4,
    put_workers: 5,
    ensure_workers: 6,
    copy_streams: 7,
    host_pages_per_block: 8,
    device_pages_per_block: 9,
    device_cache_fraction: 0.25,
    host_cache_bytes: 2 ** 32,
    lora_prefetch_dir: '/lora',
  },
  perf: {
    set: 0b101_1111,
    multi_block_mode: 1,
    context_fmha_fp32_accumulation: 1,
    cuda_graph: 1,
    cuda_graph_cache: 3,
    gpu_direct_storage: 1,
    trt_overlap: 1,
  },
};

/** What the scripted executor was told by a load and a request of two tokens. */
async function tellScripted(
  load: LoadOptions,
  options: GenerateOptions,
  capabilities = 2 ** 29 - 1 + 2 ** 30,
): Promise<{ config: Told; request: Told }> {
  const lines = new Map<string, string>();
  const debug = (line: string) => lines.set(line.split(' ')[0] as string, line.slice(line.indexOf(' ') + 1));
  const logger: Logger = { error: assert.fail, warn: assert.fail, info: assert.fail, debug };
  const dir = await scriptedEngine({ tell: true, capabilities });
  const llm = await LLM.load(dir, {
    ...load,
    executor: { library: SCRIPTED_LIBRARY },
    logger,
  });
  try {
    await hasChunk(llm.stream({ tokens: [1, 2] }, options)); // the rest, up to a million tokens, ends with the engine
  } finally {
    await llm.close();
  }
  const { engine_dir, ...told } = readTold('ExecutorConfig', lines.get('config') ?? '');
  assert.equal(engine_dir, dir);
  const { id, ...request } = readTold('ExecutorRequest', lines.get('request') ?? '');
  assert.ok(Number(id) > 0);
  return { config: told, request };
}

for (const isolation of ['none', 'process'] as const) {
  describe(`of an executor with isolation '${isolation}'`, () => {
    test('each option of a load and of a request reaches it', async () => {
      const told = await tellScripted({ ...config, isolation }, everything);
      const { guided_decoding, ...rest } = told.config;
      assert.deepEqual(rest, toldConfig);
      const { vocabulary, tokenizer_json, token_bytes, token_offsets, token_special, ...facts } = guided_decoding as {
        token_bytes: number[];
        token_offsets: number[];
        token_special: number[];
        vocabulary: string[];
        tokenizer_json: string;
      };
      assert.deepEqual(facts, {
        backend: 1,
        vocabulary_count: 259,
        stop_token_count: 1,
        stop_tokens: [258],
        token_count: 259,
      });
      assert.equal(vocabulary.length, 259);
      assert.deepEqual([token_offsets.length, token_special.length], [260, 259]);
      assert.equal(token_bytes[token_offsets[65] as number], 65);
      assert.deepEqual(token_special.slice(255), [0, 1, 1, 1]);
      assert.equal(JSON.parse(tokenizer_json).model.vocab[vocabulary[65] as string], 65);
      assert.deepEqual(told.request, toldRequest);
    });

    test('what is left out stays unset', async () => {
      const told = await tellScripted({ isolation }, { ignoreEos: true });
      assert.deepEqual(told.config, {});
      const { max_tokens, sampling, output, ...rest } = told.request;
      assert.deepEqual(rest, { token_count: 2, tokens: [1, 2], streaming: 1 });
      assert.deepEqual([sampling, output], [{ set: 1 }, {}], 'temperature 0 is greedy');
    });
  });
}

const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const sum = (...bits: (number | undefined)[]): number => bits.reduce<number>((all, bit) => all + (bit ?? 0), 0);

const withoutCounts = (told: object): Told =>
  Object.fromEntries(Object.entries(told).filter(([name]) => !name.endsWith('_count')));

/** What is told where a group has one option alone: its field and its presence bit. */
const alone = (prefix: string, field: string, value: unknown): Told => {
  const set = presenceBit(`${prefix}.${field}`);
  return set === 0 ? { [field]: value } : { set, [field]: value };
};

const GROUPS = [
  ['kvCache', 'kv_cache', config.kvCache, toldConfig.kv_cache],
  ['scheduler', 'scheduler', config.scheduler, toldConfig.scheduler],
  ['parallel', 'parallel', config.parallel, toldConfig.parallel],
  ['peftCache', 'peft', config.peftCache, toldConfig.peft_cache],
  ['perf', 'perf', config.perf, toldConfig.perf],
] as const;
for (const [group, prefix, options, told] of GROUPS) {
  test(`each option of ${group}, given alone, sets its field and no other`, async () => {
    for (const [name, value] of Object.entries(options ?? {})) {
      const { config } = await tellScripted({ [group]: { [name]: value } }, {});
      const field = snakeCase(name);
      const expected = alone(prefix, field, (told as Told)[field]);
      assert.deepEqual(
        Object.values(config).map((each) => withoutCounts(each as object)),
        [expected],
        name,
      );
    }
  });
}

test('each presence bit of a load, a draw and an Eagle config is that of its own field', async () => {
  const loads = [
    'loadFormat',
    'batchInvariant',
    'threads',
    'maxBatchSize',
    'maxNumTokens',
    'maxSeqLen',
    'maxQueueSize',
    'maxBeamWidth',
    'chunkedContext',
    'tensorParallelSize',
    'receivePollPeriodMs',
    'maxSequenceIdleMs',
  ] as const;
  const rest = [
    'gatherGenerationLogits',
    'normalizeLogprobs',
    'gpuWeightsFraction',
    'failFastOnAttentionWindow',
    'requestStats',
  ] as const;
  for (const name of [...loads, ...rest]) {
    const told = await tellScripted({ [name]: config[name] }, {});
    const field = snakeCase(name);
    assert.deepEqual(told.config, alone('config', field, toldConfig[field as keyof typeof toldConfig]), name);
  }
  const draws = [
    'topK',
    'topP',
    'minP',
    'seed',
    'repetitionPenalty',
    'noRepeatNgramSize',
    'topPMin',
    'topPDecay',
  ] as const;
  for (const name of draws) {
    const { request } = await tellScripted({}, { temperature: 0, [name]: everything[name] });
    const field = snakeCase(name);
    const value = toldRequest.sampling[field as keyof typeof toldRequest.sampling];
    assert.deepEqual(request.sampling, { set: 1 + presenceBit(`sampling.${field}`), [field]: value }, name);
  }
  for (const [name, value] of Object.entries(eagle)) {
    const { request } = await tellScripted({}, { eagle: { [name]: value } });
    const field = snakeCase(name);
    assert.deepEqual(request.eagle, alone('eagle', field, toldEagle[field as keyof typeof toldEagle]), name);
  }
});

test('bestOf goes beside n, and where they are the same n alone goes', async () => {
  const toldOf = async (options: GenerateOptions): Promise<unknown> => {
    const { set, n, best_of } = (await tellScripted({}, { temperature: 0, ...options })).request.sampling as Told;
    return { set, n, best_of };
  };
  const [temperature, n, bestOf] = ['temperature', 'n', 'best_of'].map((name) => presenceBit(`sampling.${name}`));
  assert.deepEqual(await toldOf({ bestOf: 3 }), { set: sum(temperature, bestOf), n: undefined, best_of: 3 });
  assert.deepEqual(await toldOf({ n: 2, bestOf: 3 }), { set: sum(temperature, n, bestOf), n: 2, best_of: 3 });
  assert.deepEqual(await toldOf({ n: 2, bestOf: 2 }), { set: sum(temperature, n), n: 2, best_of: undefined });
});

test('an executor that knows no timeout gets none: timeoutMs holds without it', async () => {
  const { request } = await tellScripted({}, { timeoutMs: 60_000, ignoreEos: true }, 0);
  assert.equal(request.timeout_ms, undefined);
});
