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
export type { ExecutorLibrary, ExecutorName, LoadOptions, Logger } from './load-options.js';
export type { Stats } from './native.js';
export type { GenerateOptions, TokenRun } from './options.js';
export type { ChatTemplateOptions } from './text/chat-template.js';
export type { DecodeOptions, EncodeOptions, Tokenizer } from './text/tokenizer.js';
export type {
  ChatMessage,
  Chunk,
  FinishReason,
  Input,
  Logits,
  Output,
  Result,
  Timing,
  TokenLogprob,
  Tool,
  Usage,
} from './types.js';
