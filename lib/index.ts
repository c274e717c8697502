export { type ConvertOptions, convert } from './engine/convert.js';
export type { OnProgress } from './engine/progress.js';
export { type PullOptions, pull } from './engine/pull.js';
export { ERROR_CODES, type ErrorCode, type ErrorDetails, LLMError } from './errors.js';
