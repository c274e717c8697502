export type { LLMHandle } from './addon/handle.js';
export type { KvCacheBlock, KvCacheEvent } from './addon/kv-events.js';
export type { RequestStats, Stats } from './addon/protocol.js';
export type { ChatTemplateLimits } from './base/chat-template-limits.js';
export {
  ERROR_CODES,
  type ErrorCode,
  type ErrorDetails,
  type ErrorHelp,
  LLMError,
  type QueueState,
} from './base/errors.js';
export type { OnProgress } from './base/progress.js';
export type { ResponseField, ResponseTemplate } from './base/response-template.js';
export type {
  ChatMessage,
  Chunk,
  DataType,
  FinishReason,
  Input,
  Logits,
  NamedTensor,
  Output,
  RequestMetrics,
  Result,
  Tensor,
  TensorData,
  Timing,
  TokenLogprob,
  Tool,
  ToolCall,
  ToolCallDelta,
  Usage,
} from './base/types.js';
export { type DoctorOptions, doctor } from './doctor/doctor.js';
export type { Diagnosis, Finding } from './doctor/finding.js';
export {
  type BuildOptions,
  type BuildProgress,
  type BuiltEngine,
  buildEngine,
  type EngineBuild,
} from './engine/build/build-engine.js';
export type { PlannedGpus } from './engine/build/gpu-list.js';
export { type Plan, type PlannedChoice, type PlanOptions, plan } from './engine/build/plan.js';
export { type ConvertOptions, convert } from './engine/convert/convert.js';
export type { Quantization } from './engine/convert/quantize.js';
export { type PullOptions, pull } from './engine/pull/pull.js';
export { type CloseOptions, type EngineInfo, LLM, type SleepOptions } from './llm.js';
export type { Capabilities } from './options/capabilities.js';
export { forceToolCall } from './options/force-tool-call.js';
export type { GenerateOptions } from './options/generate.js';
export type { GuidedOptions } from './options/guided.js';
export type { KvCacheOptions, KvRetentionOptions, RetentionRange } from './options/kv-cache.js';
export type { AdditionalOutput, ExecutorLibrary, ExecutorName, LoadOptions, Logger } from './options/load.js';
export type { Lora, PeftCacheOptions } from './options/lora.js';
export type { ParallelOptions } from './options/parallel.js';
export type { PerfOptions } from './options/perf.js';
export type { SchedulerOptions } from './options/scheduler.js';
export type {
  DecodingMode,
  DecodingOptions,
  DraftModel,
  DraftTokens,
  EagleOptions,
  Lookahead,
  PromptLookupOptions,
} from './options/speculative.js';
export type { TokenRun } from './options/token-runs.js';
export type {
  RequestEndEvent,
  RequestFirstTokenEvent,
  RequestParameters,
  RequestStartEvent,
} from './request/diagnostics.js';
export type { Embeddings, EmbedOptions } from './request/embed.js';
export type { Generation } from './request/generation.js';
export type { HealthOptions } from './request/health.js';
export type { KvCacheEventsOptions } from './request/kv-cache-events.js';
export type { RewardOptions } from './request/reward.js';
export type { Score, ScoreInput, ScoreOptions, Scores } from './request/score.js';
export { setup } from './tensorrt-llm/setup.js';
export type { SetupOptions, SetupStep } from './tensorrt-llm/setup-options.js';
export type { ChatTemplateOptions } from './text/chat-template.js';
export type { DecodeOptions, EncodeOptions, Tokenizer } from './text/tokenizer.js';
export { type VerifyOptions, verify } from './verify.js';
