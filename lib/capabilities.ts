/** The CAN_* bits of native/executor/executor.h, by the names users know them. */
const BITS = {
  minP: 0,
  logprobs: 1,
  topLogprobs: 2,
  promptLogprobs: 3,
  contextLogits: 4,
  generationLogits: 5,
  penalties: 6,
  noRepeatNgram: 7,
  logitBias: 8,
  minTokens: 9,
  stopTokens: 10,
  badTokens: 11,
  severalSequences: 12,
  beamSearch: 13,
  priority: 14,
  timeLimit: 15,
  blockReuse: 16,
  kvRetention: 17,
  cacheSalt: 18,
  lora: 19,
  guided: 20,
  lookahead: 21,
  externalDraft: 22,
  eagle: 23,
  promptTuning: 24,
  multimodal: 25,
  disaggregated: 26,
  additionalOutputs: 27,
} as const;

/** What the executor can do beyond temperature, top-k, top-p, seed, end tokens, stop strings and cancelling. */
export type Capabilities = Readonly<Record<keyof typeof BITS, boolean>>;

export const capabilitiesOf = (bits: number): Capabilities =>
  Object.fromEntries(Object.entries(BITS).map(([name, bit]) => [name, (bits & (1 << bit)) !== 0])) as Capabilities;
