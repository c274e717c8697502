import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { ends, runProgram } from '../tools/programs.js';
import { recordingLogger } from '../tools/recording-logger.js';

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

test('what executors log goes nowhere without a logger', async () => {
  const program = `await (await LLM.load(engine, SCRIPTED)).close();`;
  const exit = await runProgram(program, { engine: await scriptedEngine({ log: true }) });
  ends(exit, { status: 0, out: '' });
  assert.equal(exit.err, '');
});

test('what a logger throws is an uncaught exception, and the load goes on', async () => {
  const program = `
    process.on('uncaughtException', (error) => console.log(error.message));
    const throwing = { error() { throw new Error('mine'); }, warn() {}, info() {}, debug() {} };
    const llm = await LLM.load(engine, { ...SCRIPTED, logger: throwing });
    console.log((await llm.generate({ tokens: [0] }, { maxTokens: 3 })).text);
    await llm.close();
  `;
  const exit = await runProgram(program, { engine: await scriptedEngine({ log: true }) });
  ends(exit, { status: 0, out: 'mine\nabc\n' });
});

test('a logger is let go of once its LLM is closed', async () => {
  const program = `
    const registry = new FinalizationRegistry(() => { console.log('freed'); process.exit(); });
    await (async () => {
      const logger = { error() {}, warn() {}, info() {}, debug() {} };
      registry.register(logger);
      await (await LLM.load(engine, { ...SCRIPTED, logger })).close();
    })();
    for (let i = 0; i < 100; i++) { gc(); await sleep(5); }
  `;
  const exit = await runProgram(program, { engine: await scriptedEngine({}) }, { flags: ['--expose-gc'] });
  ends(exit, { status: 0, out: 'freed\n' });
});
