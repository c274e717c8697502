import { LLMError } from '../base/errors.js';

/** What is missing for the executor of TensorRT-LLM, or does not fit. */
export const unavailable = (message: string): LLMError => new LLMError('ERR_EXECUTOR_UNAVAILABLE', message);
