import { channel } from 'node:diagnostics_channel';
import { LLMError } from '../base/errors.js';
import type { FinishReason, Timing, Usage } from '../base/types.js';
import type { Outcome } from './outcome.js';

/** Published on `node-tensorrt-llm:request:start`, when a request is made. `requestId` is that of its Generation. */
export interface RequestStartEvent {
  requestId: number;
  /** Absolute path of the engine directory. */
  dir: string;
  /** Name of the executor. */
  executor: string;
}

/** Published on `node-tensorrt-llm:request:first-token`. */
export interface RequestFirstTokenEvent {
  requestId: number;
  /** Milliseconds since the executor received the request. */
  timeToFirstTokenMs: number;
}

/** Published on `node-tensorrt-llm:request:end`, once for each start. */
export interface RequestEndEvent {
  requestId: number;
  /** Undefined if the request failed or its signal aborted. */
  finishReason: FinishReason | undefined;
  /** Tokens; of a failed request, up to the failure. */
  usage: Usage | undefined;
  /** Milliseconds; of a failed request, up to the failure. */
  timing: Timing | undefined;
  /** What the readers of the request get thrown; undefined if it succeeded. */
  error: unknown;
}

const starts = channel('node-tensorrt-llm:request:start');
const firstTokens = channel('node-tensorrt-llm:request:first-token');
const ends = channel('node-tensorrt-llm:request:end');

export function requestStarted(event: RequestStartEvent): void {
  if (starts.hasSubscribers) starts.publish(event);
}

export function requestHasToken(event: RequestFirstTokenEvent): void {
  if (firstTokens.hasSubscribers) firstTokens.publish(event);
}

export function requestEnded(requestId: number, outcome: Outcome): void {
  if (!ends.hasSubscribers) return;
  const error = 'error' in outcome ? outcome.error : undefined;
  const result = 'result' in outcome ? outcome.result : LLMError.is(error) ? error.partial : undefined;
  ends.publish({
    requestId,
    finishReason: 'result' in outcome ? outcome.result.finishReason : undefined,
    usage: result?.usage,
    timing: result?.timing,
    error,
  } satisfies RequestEndEvent);
}
