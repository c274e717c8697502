import assert from 'node:assert/strict';
import { type GenerateOptions, type Generation, type Input, type LLM, LLMError, type Result } from 'node-tensorrt-llm';
import type { EventLog } from './events.js';
import type { Outcome } from './outcomes.js';
import type { Moment, Plan } from './plan.js';
import { read } from './readers.js';
import { Transcript } from './transcript.js';
import { checkError, checkResult, type Expected } from './verdict.js';

/** Where a request runs, and what its answer is. */
export interface RequestContext extends Pick<Expected, 'known' | 'setting' | 'isClosing'> {
  readonly llm: LLM;
  readonly events: EventLog;
}

interface Attempt extends Expected, RequestContext, Pick<Plan, 'reader'> {
  readonly controller: AbortController;
}

type Settled = { readonly result: Result } | { readonly error: unknown };

const settle = (promise: Promise<Result>): Promise<Settled> =>
  promise.then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  );

/** Runs a request to its end as planned, and throws what does not hold of all that is seen of it. */
export function runRequest({ reader, fault }: Plan, context: RequestContext): Promise<Outcome> {
  const controller = new AbortController();
  const attempt: Attempt = { ...context, reader, fault, controller, reason: controller };
  if (fault.kind === 'dropped') return runDropped(attempt);
  if ('at' in fault && fault.at === 'before') controller.abort(controller);
  return reader === 'list' ? runList(attempt) : runGeneration(attempt);
}

async function runGeneration(attempt: Attempt): Promise<Outcome> {
  const { fault, reader, controller, events, llm } = attempt;
  const { input, options } = callOf(attempt);
  const generation = llm.stream(input, options);
  const endIt = (): unknown => {
    if (fault.kind === 'signal') return controller.abort(controller);
    return fault.kind === 'dispose' ? generation[Symbol.asyncDispose]() : generation.abort();
  };
  const disarm = 'at' in fault ? arm(fault.at, endIt) : undefined;
  const transcript = new Transcript();
  const onChunk = (): 'leave' | 'go on' => {
    if (!('at' in fault) || typeof fault.at === 'string' || !('chunks' in fault.at)) return 'go on';
    if (transcript.chunks < fault.at.chunks) return 'go on';
    if (fault.kind === 'leave') return 'leave';
    endIt();
    return 'go on';
  };
  const reading = await read(generation, { reader, transcript, onChunk, events });
  const settled = await settle(generation.result);
  disarm?.();
  checkEvent(generation, settled, events);
  if ('error' in settled) {
    const outcome = checkError(settled.error, attempt);
    const partial = LLMError.is(settled.error) ? (settled.error.partial?.outputs ?? []) : undefined;
    if (typeof reading === 'object') assert.equal(reading.thrown, settled.error, 'iterator and result throw the same');
    else assert.notEqual(reading, 'read', 'the iterator ended, and the result rejects');
    // A loop may be left when the request has failed, and the reader had not come so far.
    if (!partial || reading === 'left') transcript.mustBegin(partial ?? attempt.known.answer.outputs);
    else if (reader === 'text') transcript.mustBeText(partial);
    else if (reading !== 'not read') transcript.mustBe(partial, { reasons: false });
    return outcome;
  }
  assert.ok(typeof reading === 'string', 'the iterator threw, and the result resolves');
  const outcome = checkResult(settled.result, attempt);
  const { outputs } = settled.result;
  const wasCancelled = outputs.some(({ finishReason }) => finishReason === 'cancelled');
  if (reading !== 'read' || wasCancelled) transcript.mustBegin(outputs);
  else if (reader === 'text') transcript.mustBeText(outputs);
  else transcript.mustBe(outputs, { reasons: true });
  return outcome;
}

function callOf({ known, fault, controller }: Attempt): { input: Input; options: GenerateOptions } {
  const { input, options } = known;
  if (fault.kind === 'invalid') return fault.call as { input: Input; options: GenerateOptions };
  if (fault.kind === 'timeout') return { input, options: { ...options, timeoutMs: fault.ms } };
  if (fault.kind === 'queue timeout') return { input, options: { ...options, queueTimeoutMs: fault.ms } };
  if (fault.kind !== 'signal') return known;
  return {
    input: (fault.call?.input as Input | undefined) ?? input,
    options: { ...options, signal: controller.signal },
  };
}

/** Does it right now or later, unless it is a number of chunks to wait for. What it returns takes it back. */
function arm(at: Moment, act: () => unknown): (() => void) | undefined {
  if (at === 'at once') act();
  if (typeof at === 'string' || !('ms' in at)) return undefined;
  const timer = setTimeout(act, at.ms);
  return () => clearTimeout(timer);
}

// The Generation is garbage as soon as this returns.
const startAndDrop = ({ known: { input, options }, llm }: Attempt): number =>
  llm.stream(input, { ...options, maxTokens: 300 }).id;

async function runDropped(attempt: Attempt): Promise<Outcome> {
  const { events, isClosing } = attempt;
  const id = startAndDrop(attempt);
  await events.whenEnded(id);
  if (events.take(id)) return 'dropped';
  assert.ok(isClosing(), 'the request was refused, though its LLM is open');
  return 'ERR_CLOSED';
}

/** Three of a kind in one call: all end as the answer says, or all reject with the same. */
async function runList(attempt: Attempt): Promise<Outcome> {
  const { fault, controller, events, llm } = attempt;
  const { input, options } = callOf(attempt);
  let all: Promise<Result[]> = Promise.resolve([]);
  const ids = events.startedBy(() => {
    all = llm.generate([input, input, input], options);
  });
  const disarm = 'at' in fault ? arm(fault.at, () => controller.abort(controller)) : undefined;
  const [settled] = await Promise.allSettled([all]);
  disarm?.();
  for (const id of ids) events.take(id);
  if (settled.status === 'rejected') return checkError(settled.reason, attempt);
  assert.equal(settled.value.length, 3);
  return settled.value.map((result) => checkResult(result, attempt))[0] as Outcome;
}

function checkEvent({ id }: Generation, settled: Settled, events: EventLog): void {
  const event = events.take(id);
  if (!event) return;
  assert.equal(event.error, 'error' in settled ? settled.error : undefined, 'error of the end event');
  assert.equal(event.finishReason, 'result' in settled ? settled.result.finishReason : undefined);
}
