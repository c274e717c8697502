import { describe, test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { type Exit, ends, runProgram } from '../../tools/programs.js';
import type { Work as Dropped } from './programs/dropped.js';
import type { Work as FreedLlm } from './programs/freed-llm.js';
import type { Work as FreedRequests } from './programs/freed-requests.js';
import type { Work as WaitedFor } from './programs/waited-for.js';

const runCollected = (name: string, work: object): Promise<Exit> =>
  runProgram(new URL(`./programs/${name}.js`, import.meta.url), work, { flags: ['--expose-gc'] });

describe('a Generation nobody holds or waits for is cancelled when it is collected, and its KV blocks are free:', () => {
  const DROPS: readonly [name: string, drop: Dropped['drop']][] = [
    ['one that was never read', 'was never read'],
    ['one whose reader took a chunk and went', 'was read for one chunk'],
    ['one whose textStream was never read', 'has a textStream that was never read'],
    ['one whose web stream was never read', 'has a web stream that was never read'],
  ];
  for (const [name, drop] of DROPS) {
    test(name, async () => {
      const work: Dropped = { engine: await tinyEngine(), drop };
      ends(await runCollected('dropped', work), { status: 0, told: ['cancelled'] });
    });
  }
});

describe('garbage collection does not cancel a Generation', () => {
  const WAITS: readonly [name: string, Omit<WaitedFor, 'engine'>][] = [
    ['whose result is awaited', { waits: 'result', llm: 'held' }],
    ['whose reader waits', { waits: 'reader', llm: 'held' }],
    ['whose textStream is read', { waits: 'textStream', llm: 'held' }],
    ['whose web stream is read', { waits: 'web stream', llm: 'held' }],
    ['whose LLM nobody holds either', { waits: 'result', llm: 'dropped' }],
  ];
  for (const [name, waits] of WAITS) {
    test(name, async () => {
      const work: WaitedFor = { engine: await scriptedEngine({ step_ms: 3 }), ...waits };
      ends(await runCollected('waited-for', work), { status: 0, told: [100] });
    });
  }
});

test('an LLM that nobody holds and nobody closed is freed', async () => {
  const work: FreedLlm = { engine: await tinyEngine() };
  ends(await runCollected('freed-llm', work), { status: 0, told: ['freed'] });
});

test('a request that has ended is freed, though its result was awaited or its error leads back to it', async () => {
  const work: FreedRequests = { engine: await tinyEngine() };
  ends(await runCollected('freed-requests', work), { status: 0, told: ['freed', 'freed'] });
});
