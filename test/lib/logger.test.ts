import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { type Exit, ends, runProgram } from '../tools/programs.js';
import { recordingLogger } from '../tools/recording-logger.js';
import type { Work } from './programs/logging.js';

const executor = { library: SCRIPTED_LIBRARY };

const CREATE = ['error', 'warn', 'info', 'debug'].map((name) => `${name}: scripted create`);

test('a logger gets each line by its level, from the load to the close', async () => {
  const { logger, lines } = recordingLogger();
  const llm = await LLM.load(await scriptedEngine({ log: true }), { executor, logger });
  assert.deepEqual(lines, CREATE);
  await llm.close();
  // The last line and the end of close() are two messages to the event loop.
  for (let turns = 0; lines.length === CREATE.length && turns < 1000; turns++) await setImmediate();
  assert.deepEqual(lines, [...CREATE, 'info: scripted destroy']);
});

test('a logger has the lines of a load that failed when load rejects', async () => {
  const { logger, lines } = recordingLogger();
  const loading = LLM.load(await scriptedEngine({ log: true, throw_in: 'create' }), { executor, logger });
  await assert.rejects(loading, failsWith('ERR_INTERNAL', /in create/));
  assert.deepEqual(lines.slice(0, 4), CREATE);
});

test('a logger keeps no progress from being told', async () => {
  const { logger } = recordingLogger();
  const seen: number[] = [];
  const llm = await LLM.load(await tinyEngine(), { logger, onProgress: (done) => seen.push(done) });
  await llm.close();
  assert.equal(seen.at(-1), 1);
});

const logging = (work: Work): Promise<Exit> =>
  runProgram(new URL('./programs/logging.js', import.meta.url), work, { flags: ['--expose-gc'] });

test('what executors log goes nowhere without a logger', async () => {
  const exit = await logging({ engine: await scriptedEngine({ log: true }), logger: 'none' });
  ends(exit, { status: 0, told: [] });
  assert.equal(exit.err, '');
});

test('what a logger throws is an uncaught exception, and the load goes on', async () => {
  const exit = await logging({ engine: await scriptedEngine({ log: true }), logger: 'throws' });
  ends(exit, { status: 0, told: ['mine', 'abc'] });
});

test('a logger is let go of once its LLM is closed', async () => {
  const exit = await logging({ engine: await scriptedEngine({}), logger: 'is dropped' });
  ends(exit, { status: 0, told: ['freed'] });
});
