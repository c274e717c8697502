export type { Capabilities } from './capabilities.js';
export type { RequestEndEvent, RequestFirstTokenEvent, RequestStartEvent } from './diagnostics.js';
export { type Diagnosis, type DoctorOptions, doctor } from './doctor/doctor.js';
export type { Finding } from './doctor/finding.js';
export { type ConvertOptions, convert } from './engine/convert.js';
export type { OnProgress } from './engine/progress.js';
export { type PullOptions, pull } from './engine/pull.js';
export { ERROR_CODES, type ErrorCode, type ErrorDetails, type ErrorHelp, LLMError } from './errors.js';
export type { Generation } from './generation.js';
export type { LLMHandle } from './handle.js';
export { type CloseOptions, type EngineInfo, LLM } from './llm.js';
export type { AdditionalOutput, ExecutorLibrary, ExecutorName, LoadOptions, Logger } from './load-options.js';
export type { Stats } from './native.js';
export type { GuidedOptions } from './options/guided.js';
export type { KvCacheOptions, KvRetentionOptions, RetentionRange } from './options/kv-cache.js';
export type { Lora, PeftCacheOptions } from './options/lora.js';
export type { ParallelOptions } from './options/parallel.js';
export type { PerfOptions } from './options/perf.js';
export type { SchedulerOptions } from './options/scheduler.js';
export type { DecodingMode, DecodingOptions, DraftTokens, EagleOptions, Lookahead } from './options/speculative.js';
export type { DataType, Tensor, TensorData } from './options/tensor.js';
export type { TokenRun } from './options/token-runs.js';
export type { GenerateOptions } from './options.js';
export type { ChatTemplateOptions } from './text/chat-template.js';
export type { DecodeOptions, EncodeOptions, Tokenizer } from './text/tokenizer.js';
export type {
  ChatMessage,
  Chunk,
  FinishReason,
  Input,
  Logits,
  NamedTensor,
  Output,
  Result,
  Timing,
  TokenLogprob,
  Tool,
  Usage,
} from './types.js';
