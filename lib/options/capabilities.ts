import { LLMError } from '../base/errors.js';
import type { GenerateOptions, RequestOptions } from './generate.js';

/** The CAN_* bits of native/executor/executor.h, by the names users know them. */
const BITS = {
  minP: 0,
  logprobs: 1,
  topLogprobs: 2,
  promptLogprobs: 3,
  contextLogits: 4,
  generationLogits: 5,
  penalties: 6,
  noRepeatNgramSize: 7,
  logitBias: 8,
  minTokens: 9,
  stopTokens: 10,
  badTokens: 11,
  severalSequences: 12,
  beamSearch: 13,
  priority: 14,
  timeout: 15,
  blockReuse: 16,
  kvRetention: 17,
  cacheSalt: 18,
  lora: 19,
  guided: 20,
  lookahead: 21,
  draft: 22,
  eagle: 23,
  promptTuning: 24,
  multimodal: 25,
  disaggregated: 26,
  additionalOutputs: 27,
  outputPenalties: 28,
  embeddings: 29,
  promptLookup: 30,
  kvEvents: 31,
} as const;

/** What the executor supports beyond temperature, top-k, top-p, seed, end tokens, stop strings and cancelling. */
export type Capabilities = Readonly<Record<keyof typeof BITS, boolean>>;

export const capabilitiesOf = (bits: number): Capabilities =>
  Object.fromEntries(
    Object.entries(BITS).map(([name, bit]) => [name, Math.floor(bits / 2 ** bit) % 2 === 1]),
  ) as Capabilities;

const ASKS: readonly [
  option: keyof GenerateOptions,
  needs: keyof Capabilities,
  isAsked: (options: RequestOptions) => boolean,
][] = [
  ['minP', 'minP', ({ minP }) => (minP ?? 0) > 0],
  ['minTokens', 'minTokens', ({ minTokens }) => minTokens > 0],
  ['repetitionPenalty', 'penalties', ({ repetitionPenalty }) => repetitionPenalty !== 1],
  ['presencePenalty', 'outputPenalties', ({ presencePenalty }) => presencePenalty !== 0],
  ['frequencyPenalty', 'outputPenalties', ({ frequencyPenalty }) => frequencyPenalty !== 0],
  ['noRepeatNgramSize', 'noRepeatNgramSize', ({ noRepeatNgramSize }) => noRepeatNgramSize > 0],
  ['logitBias', 'logitBias', ({ logitBias }) => logitBias !== undefined],
  ['stopTokens', 'stopTokens', ({ stopTokens }) => stopTokens.length > 0],
  ['badWords', 'badTokens', ({ badWords }) => badWords.length > 0],
  ['badTokens', 'badTokens', ({ badTokens }) => badTokens.length > 0],
  ['n', 'severalSequences', ({ n }) => n > 1],
  ['bestOf', 'severalSequences', ({ bestOf }) => bestOf > 1],
  ['bestOf', 'logprobs', ({ n, bestOf }) => bestOf > n],
  ['topLogprobs', 'topLogprobs', ({ topLogprobs }) => topLogprobs > 0],
  ['logprobs', 'logprobs', ({ logprobs }) => logprobs],
  ['topPromptLogprobs', 'promptLogprobs', ({ topPromptLogprobs }) => topPromptLogprobs > 0],
  ['promptLogprobsStart', 'promptLogprobs', ({ extras }) => extras.promptLogprobsStart !== undefined],
  ['promptLogprobs', 'promptLogprobs', ({ promptLogprobs }) => promptLogprobs],
  ['returnContextLogits', 'contextLogits', ({ returnContextLogits }) => returnContextLogits],
  ['returnGenerationLogits', 'generationLogits', ({ returnGenerationLogits }) => returnGenerationLogits],
  ['beamWidth', 'beamSearch', ({ extras }) => extras.beamWidth !== undefined],
  ['priority', 'priority', ({ extras }) => (extras.priority ?? 0.5) !== 0.5],
  ['kvRetention', 'kvRetention', ({ extras }) => extras.kvRetention !== undefined],
  ['cacheSalt', 'cacheSalt', ({ extras }) => extras.cacheSalt !== undefined],
  ['lora', 'lora', ({ extras }) => extras.lora !== undefined],
  ['guided', 'guided', ({ extras }) => extras.guided !== undefined],
  ['lookahead', 'lookahead', ({ extras }) => extras.lookahead !== undefined],
  ['eagle', 'eagle', ({ extras }) => extras.eagle !== undefined],
  ['draft', 'draft', ({ extras }) => extras.draft !== undefined],
  ['promptLookup', 'promptLookup', ({ extras }) => extras.promptLookup === true],
  ['additionalOutputs', 'additionalOutputs', ({ extras }) => extras.additionalOutputs !== undefined],
];

const GATHER_GENERATION =
  'load the engine with gatherGenerationLogits, or before 0.19 build it with --gather_generation_logits';
const COLLECTS_EVENTS = 'load the engine with kvCache: { eventBufferSize }';
const since = (version: string): string => `TensorRT-LLM supports it since ${version}`;

type Needs = Readonly<Partial<Record<keyof Capabilities, string>>>;

/** What TensorRT-LLM supports only in later versions, or in engines built or loaded for it. */
const TENSORRT_LLM_HAS: Needs = {
  minP: since('0.19'),
  timeout: since('0.16'),
  kvRetention: since('0.15'),
  cacheSalt: since('1.1'),
  guided: `${since('0.16')}; load the engine with guidedDecoding`,
  eagle: since('0.16'),
  multimodal: since('1.0'),
  disaggregated: since('0.19'),
  additionalOutputs: `${since('0.17')}; load the engine with additionalOutputs`,
  outputPenalties: since('1.2'),
  beamSearch: 'build the engine with --max_beam_width above 1, and load it with a maxBeamWidth that is not smaller',
  kvEvents: `${since('0.15')}, without an orchestrator; ${COLLECTS_EVENTS}`,
  lora: 'build the engine with --lora_plugin auto and --lora_target_modules',
  contextLogits: 'build the engine with --gather_context_logits',
  promptLogprobs: 'build the engine with --gather_context_logits',
  generationLogits: GATHER_GENERATION,
  topLogprobs: GATHER_GENERATION,
};

/** What the embedded executors support only with more than the addon. */
const EMBEDDED_HAS: Needs = {
  kvEvents: COLLECTS_EVENTS,
  lora: 'load the engine with peftCache: {}',
  beamSearch: 'load the engine with a maxBeamWidth and a maxBatchSize above 1',
  guided:
    'the engine needs a tokenizer and an end token, and the package libguidance.so, which npm run build:guidance builds in a clone',
};

const NEEDED: Readonly<Record<string, Needs>> = {
  cpu: EMBEDDED_HAS,
  cuda: EMBEDDED_HAS,
  'tensorrt-llm': TENSORRT_LLM_HAS,
};

/** @throws {LLMError} `ERR_UNSUPPORTED` naming an option that the executor does not support. */
export function requireCapabilities(options: RequestOptions, capabilities: Capabilities, executor: string): void {
  for (const [option, needs, isAsked] of ASKS) {
    if (capabilities[needs] || !isAsked(options)) continue;
    throw new LLMError(
      'ERR_UNSUPPORTED',
      `${lacks(option, needs, executor)} Remove ${option}, ` +
        "or set it to its default if it comes from the engine's generation_config.json.",
      { option },
    );
  }
}

/** @throws {LLMError} `ERR_UNSUPPORTED`. */
export function requireKvEvents(method: string, { kvEvents }: Capabilities, executor: string): void {
  if (kvEvents) return;
  throw new LLMError('ERR_UNSUPPORTED', lacks(method, 'kvEvents', executor), { option: 'kvCache.eventBufferSize' });
}

/** Of an option or a method. */
function lacks(user: string, needs: keyof Capabilities, executor: string): string {
  const fix = NEEDED[executor]?.[needs];
  return `${user} needs llm.capabilities.${needs}, which the executor '${executor}' does not have${fix ? `: ${fix}` : ''}.`;
}
