import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { NODE_VERSIONS } from '../../tools/node-versions.js';
import { ends, runProgram } from '../../tools/programs.js';

// Each way to end, at each stage of an engine's life. `leave()` ends the process in that way.
const WAYS = [
  { way: 'process.exit()', leave: 'process.exit(7)', status: 7 },
  { way: 'an uncaught throw', leave: `setImmediate(() => { throw new Error('mine'); })`, status: 1 },
  { way: 'a natural exit', leave: 'undefined', status: 0 },
];

const STAGES = [
  {
    stage: 'load',
    program: `LLM.load(slowToLoad, { ...SCRIPTED, logger: { error: leave, warn() {}, info() {}, debug() {} } });`,
  },
  {
    stage: 'prefill',
    program: `
      const llm = await LLM.load(engine, { maxNumTokens: 16 }); // 250 steps
      llm.generate('x'.repeat(4000), { maxTokens: 1 });
      while (llm.stats().steps < 2) await turn();
      leave();
    `,
  },
  {
    stage: 'decode',
    program: `
      const llm = await LLM.load(engine);
      const generation = llm.stream('x', { ...LONG, maxTokens: 1000 });
      generation.result;
      await hasChunk(generation);
      leave();
    `,
  },
  {
    stage: 'close',
    program: `
      const llm = await LLM.load(engine);
      await hasChunk(llm.stream('x', LONG));
      llm.close();
      leave();
    `,
  },
];

let engines: { engine: string; slowToLoad: string };
before(async () => {
  engines = {
    engine: await tinyEngine(),
    slowToLoad: await scriptedEngine({ load_ms: 200, log: true }),
  };
});

for (const { major, node } of NODE_VERSIONS) {
  describe(`on Node.js ${major}`, () => {
    for (const { way, leave, status } of WAYS) {
      for (const { stage, program } of STAGES) {
        test(`${way} during ${stage} ends the process with status ${status} and no crash`, async () => {
          const exit = await runProgram(`const leave = () => ${leave}; ${program}`, engines, { node });
          ends(exit, { status, out: '' });
          if (status === 1) assert.match(exit.err, /mine/);
        });
      }
    }
  });
}

test('an idle LLM that nobody closed keeps no process alive', async () => {
  ends(await runProgram(`await LLM.load(engine); console.log('loaded');`, engines), { status: 0, out: 'loaded\n' });
});

test('a running request keeps its process alive until it has ended', async () => {
  const program = `
    const llm = await LLM.load(engine);
    llm.generate('hello', { ...LONG, maxTokens: 50 }).then(({ usage }) => console.log(usage.completionTokens));
  `;
  ends(await runProgram(program, engines), { status: 0, out: '50\n' });
});

test('process.exit() with the LLM closed has its own status', async () => {
  const program = `const llm = await LLM.load(engine); await llm.close(); process.exit(7);`;
  ends(await runProgram(program, engines), { status: 7, out: '' });
});

test('process.exit() is not kept waiting for an executor that hears no cancel', async () => {
  const program = `
    const llm = await LLM.load(deaf, SCRIPTED);
    await hasChunk(llm.stream({ tokens: [0] }, { maxTokens: 1_000_000 }));
    process.exit(7);
  `;
  ends(await runProgram(program, { deaf: await scriptedEngine({ deaf: true, step_ms: 1 }) }), { status: 7, out: '' });
});
