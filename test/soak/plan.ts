import type { Capabilities, ErrorCode } from 'node-tensorrt-llm';
import { Random } from './random.js';
import type { Setting } from './settings.js';

/** When something is done to a request: before the call, right behind it, after so many chunks, or so many milliseconds. */
export type Moment = 'before' | 'at once' | { chunks: number } | { ms: number };

/** How a request's answer is read; 'unread' is held and looked at after its end, 'list' goes through generate([...]). */
export type Reader = 'result' | 'stream' | 'slow' | 'text' | 'web' | 'unread' | 'list';

export type Fault =
  | { kind: 'none' }
  | { kind: 'signal'; at: Moment; call?: InvalidCall }
  | { kind: 'abort' | 'dispose'; at: Moment }
  | { kind: 'leave'; at: { chunks: number } }
  | { kind: 'timeout' | 'queue timeout'; ms: number }
  | { kind: 'invalid'; call: InvalidCall }
  | { kind: 'dropped' };

/** What request number N of a seed is. */
export interface Plan {
  caseIndex: number;
  reader: Reader;
  fault: Fault;
}

export interface InvalidCall {
  input: unknown;
  options: unknown;
  code: ErrorCode;
}

const INVALID: readonly [InvalidCall, ...InvalidCall[]] = [
  { input: '', options: {}, code: 'ERR_EMPTY_PROMPT' },
  { input: { tokens: [] }, options: {}, code: 'ERR_EMPTY_PROMPT' },
  { input: { tokens: [1.5] }, options: {}, code: 'ERR_INVALID_INPUT' },
  { input: { prompt: 'x' }, options: {}, code: 'ERR_INVALID_INPUT' },
  { input: null, options: {}, code: 'ERR_INVALID_INPUT' },
  { input: { messages: [{ content: 'x' }] }, options: {}, code: 'ERR_INVALID_INPUT' },
  { input: 'x', options: { temperature: -1 }, code: 'ERR_INVALID_OPTION' },
  { input: 'x', options: { maxTokens: -1 }, code: 'ERR_INVALID_OPTION' },
  { input: 'x', options: { n: 3, bestOf: 2 }, code: 'ERR_INVALID_OPTION' },
  { input: 'x', options: { stop: [''] }, code: 'ERR_INVALID_OPTION' },
  { input: 'x', options: { timeoutMs: 0 }, code: 'ERR_INVALID_OPTION' },
  { input: 'x', options: { signal: {} }, code: 'ERR_INVALID_OPTION' },
  { input: 'x', options: { max_tokens: 3 }, code: 'ERR_INVALID_OPTION' },
];
const INVALID_FOR: Readonly<Record<Setting['executor'], readonly [InvalidCall, ...InvalidCall[]]>> = {
  cpu: [
    { input: { tokens: [259] }, options: {}, code: 'ERR_INVALID_INPUT' },
    { input: { tokens: [-1] }, options: {}, code: 'ERR_INVALID_INPUT' },
    { input: { tokens: Array(9000).fill(1) }, options: {}, code: 'ERR_PROMPT_TOO_LONG' },
  ],
  scripted: [
    { input: 'x', options: { minP: 0.5 }, code: 'ERR_UNSUPPORTED' },
    { input: 'x', options: { logprobs: true }, code: 'ERR_UNSUPPORTED' },
  ],
};
/** Grammars that fail their request when they are compiled, or in its first step. */
const INVALID_GUIDED: readonly InvalidCall[] = [
  { regex: 'a(b' },
  { grammar: 'start: "a" missing' },
  { jsonSchema: { not: { type: 'string' } } },
  { jsonSchema: { $ref: '#' } },
  { structuralTag: { structures: [], triggers: ['<'] } },
].map((guided) => ({ input: 'x', options: { guided, ignoreEos: false }, code: 'ERR_INVALID_OPTION' }));

/** One invalid call in so many is a stranger's: they take long. */
const STRANGER = 0.05;
const MEGABYTE = 2 ** 20;
const BLOCK = 'A long prompt of words, and 12345 numbers; '.repeat(400) + ' '.repeat(4096);
const textOf = (megabytes: number): string => BLOCK.repeat((megabytes * MEGABYTE) / BLOCK.length);

/** What a stranger sends who means harm. Drawn anew for each request, so that none of it is held. */
function strangersCall(random: Random): InvalidCall {
  const megabytes = random.integer(2, 20); // 1 MB fits the million tokens of the scripted executor
  const text = textOf(megabytes);
  const worst = random.pick(['loops', 'doubling', 'range']);
  const messages = [{ role: 'user', content: 'x' }];
  return random.pick<InvalidCall>([
    { input: text, options: {}, code: 'ERR_PROMPT_TOO_LONG' },
    {
      input: { messages: [{ role: 'user', content: text }] },
      options: {},
      code: megabytes < 16 ? 'ERR_PROMPT_TOO_LONG' : 'ERR_CHAT_TEMPLATE', // chatTemplateLimits.outputLength is 16,000,000
    },
    { input: { messages, templateVars: { worst } }, options: {}, code: 'ERR_CHAT_TEMPLATE' },
  ]);
}

/** Of whom a request is asked. */
export interface Asked {
  executor: Setting['executor'];
  capabilities: Capabilities;
}

export function planOf(seed: number, number: number, asked: Asked, caseCount: number): Plan {
  const random = new Random(seed, 3, number);
  const caseIndex = random.integer(0, caseCount - 1);
  const reader = random.pick<Reader>(['result', 'stream', 'stream', 'slow', 'text', 'web', 'unread', 'list']);
  return { caseIndex, reader, fault: random.chance(0.45) ? { kind: 'none' } : drawFault(random, asked, reader) };
}

function drawFault(random: Random, { executor, capabilities }: Asked, reader: Reader): Fault {
  const streams = reader === 'stream' || reader === 'slow' || reader === 'web';
  const kinds: [Fault['kind'], ...Fault['kind'][]] = ['signal', 'timeout', 'queue timeout', 'invalid'];
  if (reader !== 'list') kinds.push('abort', 'dispose', 'dropped');
  if (streams) kinds.push('leave', 'leave');
  const kind = random.pick(kinds);
  const chunks = { chunks: random.integer(1, 4) };
  const later = streams && random.chance(0.5) ? chunks : { ms: random.integer(0, 12) };
  switch (kind) {
    case 'signal':
      if (random.chance(STRANGER)) return { kind, at: { ms: random.integer(0, 12) }, call: strangersCall(random) };
      return { kind, at: random.pick<Moment>(['before', 'at once', later, later, later]) };
    case 'abort':
    case 'dispose':
      return { kind, at: random.pick<Moment>(['at once', later, later, later]) };
    case 'leave':
      return { kind, at: chunks };
    case 'timeout':
    case 'queue timeout':
      return { kind, ms: random.integer(1, 20) };
    case 'invalid':
      if (random.chance(STRANGER)) return { kind, call: strangersCall(random) };
      if (random.chance(0.7)) return { kind, call: random.pick(INVALID) };
      return { kind, call: random.pick([...INVALID_FOR[executor], ...(capabilities.guided ? INVALID_GUIDED : [])]) };
    default:
      return { kind };
  }
}
