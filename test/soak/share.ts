import { LLM, LLMError, type LLMHandle } from 'node-tensorrt-llm';
import type { Case, Cases } from './cases.js';
import type { EventLog } from './events.js';
import { planOf } from './plan.js';
import { Random } from './random.js';
import { runRequest } from './request.js';
import type { RoundRequests } from './round.js';
import { SETTINGS } from './settings.js';

/** A round, as a worker is told of it. */
export interface Round {
  number: number;
  seed: number;
  from: number;
  count: number;
  memory: SharedArrayBuffer;
  handle: LLMHandle;
  /** Index in SETTINGS. */
  setting: number;
  /** Whether each thread closes its LLM as soon as no request is left to take, whatever runs. */
  closesEarly: boolean;
}

export interface Share {
  readonly round: Round;
  readonly requests: RoundRequests;
  /** Number of this thread; 0 is the main one. */
  readonly thread: number;
  readonly cases: Cases;
  readonly events: EventLog;
  readonly onFailure: (message: string) => void;
}

const REQUESTS_AT_ONCE = 16;
const REQUESTS_PER_COLLECTION = 60;
const COLLECT_MS = 30;
const REQUESTS_PER_LLM = 40;

/** Runs requests of a round, many at once, until none is left. What it opened is closed then. */
export async function runShare(share: Share): Promise<void> {
  const { round, requests, thread, cases, events, onFailure } = share;
  const setting = SETTINGS[round.setting] ?? SETTINGS[0];
  const known = cases[setting.executor];
  const closing = new Map<LLM, Promise<void>>();
  const close = (llm: LLM, drainMs: number): void => void closing.set(llm, llm.close({ drainMs }));
  let newest: LLM;
  try {
    newest = LLM.attach(round.handle);
  } catch (error) {
    // A worker that came late to a round in which all others have closed.
    if (round.closesEarly && LLMError.is(error) && error.code === 'ERR_CLOSED') return;
    throw error;
  }
  let started = 0;
  /** One request in so many gets the LLM that was closed right before it; those that still run on it may fail. */
  const nextLLM = (random: Random): LLM => {
    const llm = newest;
    if (started % REQUESTS_PER_COLLECTION === 0) collectGarbage();
    if (++started % REQUESTS_PER_LLM === 0) {
      newest = LLM.attach(round.handle);
      close(llm, random.pick([0, 1000]));
    }
    return llm;
  };
  const lane = async (): Promise<void> => {
    for (let number = requests.take(thread); number !== undefined; number = requests.take(thread)) {
      const llm = nextLLM(new Random(round.seed, 4, number));
      const asked = { executor: setting.executor, capabilities: llm.capabilities };
      const plan = planOf(round.seed, number, asked, known.length);
      const context = { known: known[plan.caseIndex] as Case, llm, setting, isClosing: () => closing.has(llm), events };
      try {
        requests.end(number, await runRequest(plan, context));
      } catch (error) {
        const what = error instanceof Error ? error.stack : String(error);
        const call = JSON.stringify({ ...plan, ...context.known, answer: undefined }).slice(0, 2000);
        onFailure(`request ${number} on '${setting.name}', thread ${thread}: ${what}\n${call}`);
      }
    }
    if (round.closesEarly && !closing.has(newest)) close(newest, 0);
  };
  // The last requests that were dropped end when they are collected, and no further ones come to do it.
  const collector = setInterval(() => requests.taken === requests.count && collectGarbage(), COLLECT_MS);
  await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, lane));
  clearInterval(collector);
  if (!closing.has(newest)) close(newest, 0);
  await Promise.all(closing.values());
  if (events.size > 0) onFailure(`round ${round.number}, thread ${thread}: ${events.size} requests nobody knows`);
}

function collectGarbage(): void {
  if (!globalThis.gc) throw new Error('Run it with node --expose-gc.');
  globalThis.gc();
}
