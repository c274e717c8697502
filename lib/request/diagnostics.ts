import { AsyncResource } from 'node:async_hooks';
import { type Channel, channel } from 'node:diagnostics_channel';
import type { FinishReason, Timing, Usage } from '../base/types.js';

/** Options of a request by the names of GenerateOptions, with the defaults applied. */
export interface RequestParameters {
  maxTokens: number | undefined;
  n: number;
  temperature: number;
  topK: number | undefined;
  topP: number | undefined;
  seed: number | undefined;
  presencePenalty: number;
  frequencyPenalty: number;
  stop: readonly string[];
}

/** Published on `node-tensorrt-llm:request:start`, when a request is made. `requestId` is that of its Generation. */
export interface RequestStartEvent {
  requestId: number;
  /** That of the LLM's handle: unique among the engines loaded in the process. */
  sessionId: number;
  /** Absolute path of the engine directory. */
  dir: string;
  /** Name of the executor. */
  executor: string;
  /** What the prompt was given as; undefined if the request is invalid. */
  input: 'text' | 'tokens' | 'messages' | undefined;
  /** Undefined if the request is invalid. */
  options: RequestParameters | undefined;
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
  usage: Usage;
  /** Milliseconds; of a failed request, up to the failure. */
  timing: Timing;
  /** What the readers of the request get thrown; undefined if it succeeded. */
  error: unknown;
}

const starts = channel('node-tensorrt-llm:request:start');
const firstTokens = channel('node-tensorrt-llm:request:first-token');
const ends = channel('node-tensorrt-llm:request:end');

/** The async context that a request was made in; undefined if nobody listens. Its events come from the executor, in no context. */
export type AsyncContext = AsyncResource | undefined;

export function captureContext(): AsyncContext {
  if (!starts.hasSubscribers && !firstTokens.hasSubscribers && !ends.hasSubscribers) return undefined;
  return new AsyncResource('node-tensorrt-llm:request', { requireManualDestroy: true }); // cheaper: no look-out for its end
}

function publish(to: Channel, event: object, context: AsyncContext): void {
  if (context) context.runInAsyncScope(() => to.publish(event));
  else to.publish(event);
}

export function requestStarted(makeEvent: () => RequestStartEvent): void {
  if (starts.hasSubscribers) starts.publish(makeEvent());
}

export function requestHasToken(event: RequestFirstTokenEvent, context: AsyncContext): void {
  if (firstTokens.hasSubscribers) publish(firstTokens, event, context);
}

export function requestEnded(makeEvent: () => RequestEndEvent, context: AsyncContext): void {
  if (ends.hasSubscribers) publish(ends, makeEvent(), context);
}
