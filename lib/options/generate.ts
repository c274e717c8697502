import { boolean, fraction, invalidOption, MAX_COUNT, type Readers, type ReadOf, readOptions } from '../base/checks.js';
import type { GenerationDefaults } from '../base/generation-defaults.js';
import { type BeamSearchOptions, beamSearchChecks, readBeams } from './beam-search.js';
import { type GuidedOptions, guided } from './guided.js';
import { cacheSalt, type KvRetentionOptions, kvRetention } from './kv-cache.js';
import { type LengthOptions, lengthChecks } from './length.js';
import { type Lora, lora } from './lora.js';
import { type OutputOptions, outputChecks } from './outputs.js';
import { type NativeLogitBias, type SamplingOptions, samplingChecks } from './sampling.js';
import { type DraftTokens, draft, type EagleOptions, eagle, type Lookahead, lookahead } from './speculative.js';

/**
 * Options of a request. Those not given come from the model's `generation_config.json`, else from the defaults here;
 * `temperature`, `top_k`, `top_p` and `min_p` of that file apply only if it sets `do_sample`.
 */
export interface GenerateOptions extends LengthOptions, SamplingOptions, OutputOptions, BeamSearchOptions {
  /**
   * What the output must be: JSON, or text that matches a regular expression or a grammar. With TensorRT-LLM the engine must be
   * loaded with `guidedDecoding`. Default: none.
   */
  guided?: GuidedOptions | undefined;
  /** LoRA adapter for the request. Default: none. */
  lora?: Lora | undefined;
  /** Requests with a higher priority leave the queue first, and those with a lower one are preempted first; 0 to 1. Default: 0.5. */
  priority?: number | undefined;
  /**
   * Only requests with the same salt share KV blocks, so that response times do not reveal other users' prompts. Any text of
   * at most 65,536 characters; the first 64 bits of its SHA-256 count. Default: none; requests without a salt share blocks.
   */
  cacheSalt?: string | undefined;
  /** How long the request's KV blocks stay in the cache. Default: the executor's. */
  kvRetention?: KvRetentionOptions | undefined;
  /** Lookahead decoding; at most what the engine was loaded with (`decoding`). Default: the engine's. */
  lookahead?: Lookahead | undefined;
  /** Eagle decoding, for an engine built for it. Default: the engine's. */
  eagle?: EagleOptions | undefined;
  /**
   * Tokens that are expected to follow the prompt. With `tensorrt-llm` for an engine built to verify them; the CPU and CUDA
   * executors take `tokens` alone, and they change no token of the output. Default: none.
   */
  draft?: DraftTokens | undefined;
  /**
   * Draft by prompt lookup, which makes text that repeats its prompt or itself faster and changes no token of it. Default: true
   * if the engine was loaded with `decoding.promptLookup`, else false.
   */
  promptLookup?: boolean | undefined;
  /**
   * Draft with the model of `decoding.draftModel`, which changes no token; true is an error if the engine was loaded without one.
   * Default: true if it was loaded with one, else false.
   */
  draftModel?: boolean | undefined;
}

/** Options that few requests set. */
const extraChecks = {
  ...beamSearchChecks,
  guided,
  lora,
  priority: fraction(),
  cacheSalt,
  kvRetention,
  lookahead,
  eagle,
  draft,
  promptLookup: boolean(),
  draftModel: boolean(),
  promptLogprobsStart: outputChecks.promptLogprobsStart,
  topPDecay: samplingChecks.topPDecay,
  topPMin: samplingChecks.topPMin,
  topPResetToken: samplingChecks.topPResetToken,
  additionalOutputs: outputChecks.additionalOutputs,
};

const checks = {
  ...lengthChecks,
  ...samplingChecks,
  ...outputChecks,
  ...extraChecks,
} satisfies Readers<GenerateOptions>;

const DEFAULT_MAX_LOGITS_BYTES = 256 * 2 ** 20;

/** The options that few requests set, as the addon takes them. */
export type RequestExtras = ReadOf<typeof extraChecks> & {
  /** An ExecutorPooling: the request is for an embedding. */
  readonly pooling?: number | undefined;
};

/** A request's options, checked and with defaults applied. Undefined means not set. */
export interface RequestOptions {
  readonly maxTokens: number | undefined;
  readonly minTokens: number;
  readonly temperature: number;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly minP: number | undefined;
  readonly seed: number | undefined;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly noRepeatNgramSize: number;
  readonly logitBias: NativeLogitBias | undefined;
  readonly stop: readonly string[];
  readonly stopTokens: readonly (readonly number[])[];
  readonly badWords: readonly string[];
  readonly badTokens: readonly (readonly number[])[];
  readonly ignoreEos: boolean;
  readonly n: number;
  readonly bestOf: number;
  readonly logprobs: boolean;
  readonly topLogprobs: number;
  readonly promptLogprobs: boolean;
  readonly topPromptLogprobs: number;
  readonly returnContextLogits: boolean;
  readonly returnGenerationLogits: boolean;
  readonly maxLogitsBytes: number;
  readonly addSpecialTokens: boolean;
  readonly skipSpecialTokens: boolean;
  /** False: the answer's text stays as it is. */
  readonly responseTemplate: unknown;
  readonly timeoutMs: number | undefined;
  readonly queueTimeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly extras: RequestExtras;
}

/** @throws {LLMError} `ERR_INVALID_OPTION` naming the option, its value and what is expected. */
export function readGenerateOptions(options: unknown, defaults: Partial<GenerationDefaults>): RequestOptions {
  const given = readOptions(options, checks, 'generate() and stream()');
  const sampling = defaults.doSample === true ? defaults : undefined;
  const n = given.n ?? 1;
  const bestOf = given.bestOf ?? n;
  if (bestOf < n) throw invalidOption('bestOf', `is ${bestOf}; expected at least n, ${n}.`);
  const extras = readExtras(given, n);
  const draws =
    given.topK !== undefined ||
    given.topP !== undefined ||
    given.minP !== undefined ||
    (bestOf > 1 && extras.beamWidth === undefined);
  const maxTokens = given.maxTokens ?? defaults.maxTokens;
  const minTokens = given.minTokens ?? Math.min(defaults.minTokens ?? 0, maxTokens ?? MAX_COUNT);
  if (maxTokens !== undefined && minTokens > maxTokens) {
    throw invalidOption('minTokens', `is ${minTokens}; expected at most maxTokens, ${maxTokens}.`);
  }
  return {
    maxTokens,
    minTokens,
    temperature: given.temperature ?? (sampling ? (sampling.temperature ?? 1) : draws ? 1 : 0),
    topK: given.topK ?? sampling?.topK,
    topP: given.topP ?? sampling?.topP,
    minP: given.minP ?? sampling?.minP,
    seed: given.seed,
    repetitionPenalty: given.repetitionPenalty ?? defaults.repetitionPenalty ?? 1,
    presencePenalty: given.presencePenalty ?? 0,
    frequencyPenalty: given.frequencyPenalty ?? 0,
    noRepeatNgramSize: given.noRepeatNgramSize ?? defaults.noRepeatNgramSize ?? 0,
    logitBias: given.logitBias,
    stop: given.stop ?? [],
    stopTokens: given.stopTokens ?? [],
    badWords: given.badWords ?? [],
    badTokens: given.badTokens ?? [],
    ignoreEos: given.ignoreEos ?? false,
    n,
    bestOf,
    logprobs: (given.logprobs ?? false) || (given.topLogprobs ?? 0) > 0,
    topLogprobs: given.topLogprobs ?? 0,
    promptLogprobs:
      (given.promptLogprobs ?? given.promptLogprobsStart !== undefined) || (given.topPromptLogprobs ?? 0) > 0,
    topPromptLogprobs: given.topPromptLogprobs ?? 0,
    returnContextLogits: given.returnContextLogits ?? false,
    returnGenerationLogits: given.returnGenerationLogits ?? false,
    maxLogitsBytes: given.maxLogitsBytes ?? DEFAULT_MAX_LOGITS_BYTES,
    addSpecialTokens: given.addSpecialTokens ?? true,
    skipSpecialTokens: given.skipSpecialTokens ?? true,
    responseTemplate: given.responseTemplate,
    timeoutMs: given.timeoutMs,
    queueTimeoutMs: given.queueTimeoutMs,
    signal: given.signal,
    extras,
  };
}

const NO_EXTRAS: RequestExtras = Object.create(null);

/** Copying them takes as long as all the rest, so only requests that set one pay for it. */
function readExtras(given: ReadOf<typeof checks>, n: number): RequestExtras {
  if (!Object.keys(given).some((name) => Object.hasOwn(extraChecks, name))) return NO_EXTRAS;
  const { guided, lora, priority, cacheSalt, kvRetention, lookahead, eagle, draft, promptLookup, draftModel } = given;
  const { topPDecay, topPMin, topPResetToken, additionalOutputs, promptLogprobsStart } = given;
  const ofEngine = {
    guided,
    lora,
    priority,
    cacheSalt,
    kvRetention,
    lookahead,
    eagle,
    draft,
    promptLookup,
    draftModel,
  };
  const beams = readBeams(given, { n, bestOf: given.bestOf });
  return { ...beams, ...ofEngine, topPDecay, topPMin, topPResetToken, additionalOutputs, promptLogprobsStart };
}
