import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { NODE_VERSIONS } from '../../tools/node-versions.js';
import { ends, runProgram } from '../../tools/programs.js';

let engines: { engine: string; scripted: string; large: string };
before(async () => {
  engines = {
    engine: await tinyEngine(),
    scripted: await scriptedEngine({ step_ms: 1 }),
    large: await scriptedEngine({ step_ms: 1, memory_mb: 33 }),
  };
});

// A worker that answers each message with the text of a request, until it is told to close.
const ANSWERING = `
  const llm = LLM.attach(workerData);
  parentPort.on('message', async (what) => {
    if (what === 'generate') {
      const { text } = await llm.generate({ tokens: [0] }, { maxTokens: 5 });
      parentPort.postMessage(text);
    } else {
      await llm.close();
      parentPort.postMessage('closed');
      parentPort.close();
    }
  });
`;
const ASK = `
  const ask = async (worker, what) => { worker.postMessage(what); const [answer] = await once(worker, 'message'); return answer; };
`;

describe('of two that share an engine', () => {
  test('the worker goes on when the main thread closes, and the engine is freed when it closes too', async () => {
    const program = `
      ${ASK}
      import { readdirSync } from 'node:fs';
      const threads = () => readdirSync('/proc/self/task').length;
      const residentMb = () => process.memoryUsage.rss() / 2 ** 20;
      const round = async (log) => {
        const llm = await LLM.load(large, SCRIPTED);
        const { handle } = llm;
        const worker = startWorker(${JSON.stringify(ANSWERING)}, handle);
        log(await ask(worker, 'generate'));
        const running = llm.generate({ tokens: [0] }, { maxTokens: 100_000 }).catch(({ code }) => log(code));
        await llm.close();
        await running;
        log(await ask(worker, 'generate'));
        await ask(worker, 'close');
        try { LLM.attach(handle); } catch ({ code }) { log(code); }
        await once(worker, 'exit');
      };
      await round(console.log);
      const before = { threads: threads(), residentMb: residentMb() };
      for (let i = 0; i < 5; i++) await round(() => {});
      for (let i = 0; i < 2000 && threads() > before.threads; i++) await sleep(10);
      console.log(threads() <= before.threads ? 'threads returned' : threads() + ' threads, not ' + before.threads);
      const growthMb = residentMb() - before.residentMb;
      console.log(growthMb < 100 ? 'memory returned' : 'memory grew by ' + growthMb + ' MB');
    `;
    ends(await runProgram(program, engines), {
      status: 0,
      out: 'abcde\nERR_CLOSED\nabcde\nERR_CLOSED\nthreads returned\nmemory returned\n',
    });
  });

  test('the main thread goes on when the worker closes, and when it just ends', async () => {
    const program = `
      ${ASK}
      const llm = await LLM.load(scripted, SCRIPTED);
      const running = llm.generate({ tokens: [0] }, { maxTokens: 500 });
      const closing = startWorker(${JSON.stringify(ANSWERING)}, llm.handle);
      console.log(await ask(closing, 'generate'), await ask(closing, 'close'));
      const ending = startWorker(\`
        const llm = LLM.attach(workerData);
        await hasChunk(llm.stream({ tokens: [0] }, { maxTokens: 100_000 }));
        process.exit();
      \`, llm.handle);
      await once(ending, 'exit');
      console.log((await running).usage.completionTokens, (await llm.generate({ tokens: [0] }, { maxTokens: 5 })).text);
      while (llm.stats().activeRequests > 0) await turn(); // that of the worker is cancelled
      await llm.close();
    `;
    ends(await runProgram(program, engines), { status: 0, out: 'abcde closed\n500 abcde\n' });
  });

  test('a worker that loaded the engine and ends leaves it to the main thread', async () => {
    const program = `
      const worker = startWorker(\`
        const llm = await LLM.load(workerData, SCRIPTED);
        parentPort.postMessage(llm.handle);
        parentPort.once('message', () => process.exit());
      \`, scripted);
      const [handle] = await once(worker, 'message');
      const llm = LLM.attach(handle);
      const running = llm.generate({ tokens: [0] }, { maxTokens: 100 });
      worker.postMessage('exit');
      await once(worker, 'exit');
      console.log((await running).usage.completionTokens, (await llm.generate({ tokens: [0] }, { maxTokens: 5 })).text);
      await llm.close();
    `;
    ends(await runProgram(program, engines), { status: 0, out: '100 abcde\n' });
  });
});

for (const { major, node } of NODE_VERSIONS) {
  describe(`on Node.js ${major}, with workers that generate on the engine of the main thread`, () => {
    const GENERATING = JSON.stringify(`
      const llm = LLM.attach(workerData);
      parentPort.on('message', () => process.exit(5));
      for await (const _ of llm.stream('x', { ...LONG, maxTokens: 8000 })) parentPort.postMessage('streams');
    `);

    test('process.exit() in the main thread ends the process with its status', async () => {
      const program = `
        const llm = await LLM.load(engine);
        const workers = Array.from({ length: 4 }, () => startWorker(${GENERATING}, llm.handle));
        llm.stream('x', LONG).result;
        await Promise.all(workers.map((worker) => once(worker, 'message')));
        process.exit(7);
      `;
      ends(await runProgram(program, engines, { node }), { status: 7, out: '' });
    });

    test('process.exit() in the workers ends these alone, and the text of the main thread is exact', async () => {
      const program = `
        const llm = await LLM.load(engine);
        const options = { ...LONG, maxTokens: 1500 };
        const { text } = await llm.generate('x', options);
        const running = llm.generate('x', options);
        const workers = Array.from({ length: 4 }, () => startWorker(${GENERATING}, llm.handle));
        const exits = await Promise.all(workers.map(async (worker) => {
          await once(worker, 'message');
          worker.postMessage('exit');
          const [status] = await once(worker, 'exit');
          return status;
        }));
        console.log(exits.join(), (await running).text === text);
        await llm.close();
      `;
      ends(await runProgram(program, engines, { node }), { status: 0, out: '5,5,5,5 true\n' });
    });
  });
}

describe('attach refuses', () => {
  test('the handle of an engine that is closed, with ERR_CLOSED', async () => {
    const llm = await LLM.load(engines.engine);
    const { handle } = llm;
    await llm.close();
    assert.throws(() => LLM.attach(handle), failsWith('ERR_CLOSED', /LLM\.load/));
  });

  test('a handle of another process, with ERR_INVALID_INPUT that names both', async () => {
    const llm = await LLM.load(engines.engine);
    const foreign = { ...structuredClone(llm.handle), processId: process.pid + 1 };
    assert.throws(() => LLM.attach(foreign), failsWith('ERR_INVALID_INPUT', `${process.pid + 1}`, `${process.pid}`));
    await llm.close();
  });

  test('what is no handle, with ERR_INVALID_INPUT', () => {
    for (const handle of [undefined, null, 7, 'handle', {}, { processId: process.pid }, []]) {
      assert.throws(() => LLM.attach(handle as never), failsWith('ERR_INVALID_INPUT', /handle/));
    }
  });

  test('a handle whose engine never was, with ERR_CLOSED', async () => {
    const llm = await LLM.load(engines.engine);
    const never = { ...llm.handle, sessionId: 1e9 };
    assert.throws(() => LLM.attach(never), failsWith('ERR_CLOSED'));
    await llm.close();
  });
});
