import { type ErrorDetails, LLMError } from '../base/errors.js';

/** Why an LLM takes no requests. */
export interface Ending {
  readonly code: 'ERR_CLOSED' | 'ERR_ASLEEP';
  /** What it tells a request that comes now, */
  readonly refusal: string;
  /** and one that had not ended. */
  readonly cut: string;
}

export const CLOSED: Ending = {
  code: 'ERR_CLOSED',
  refusal: 'This LLM is closed. Load the engine again with LLM.load().',
  cut: 'The LLM was closed before this request ended. Await running requests before close(), or set drainMs.',
};

export const ASLEEP: Ending = {
  code: 'ERR_ASLEEP',
  refusal: 'This LLM is asleep; expected one that is awake. Call llm.wake() first.',
  cut: 'The LLM was put to sleep before this request ended. Leave out drainMs of sleep(), or raise it.',
};

export const refusal = ({ code, refusal }: Ending, details?: ErrorDetails): LLMError =>
  new LLMError(code, refusal, details);
