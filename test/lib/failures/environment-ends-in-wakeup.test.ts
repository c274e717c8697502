import { before, describe, test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { ends, runProgram } from '../../tools/programs.js';

let engines: { engine: string; scripted: string };
before(async () => {
  engines = { engine: await tinyEngine(), scripted: await scriptedEngine({ step_ms: 1 }) };
});

describe('8 workers on one engine, terminated at random:', () => {
  const KINDS = [
    ['cpu', 'LLM.load(engine)'],
    ['scripted', 'LLM.load(scripted, SCRIPTED)'],
  ] as const;
  for (const [executor, load] of KINDS) {
    test(`the survivors' text is exact, with the ${executor} executor`, async () => {
      // Each worker checks the text of request after request; 24 are started, and 16 of them terminated at some of these.
      const program = `
        const options = { maxTokens: 40, temperature: 0, ignoreEos: true };
        const llm = await ${load};
        const expected = [];
        for (let token = 0; token < 20; token++) expected.push((await llm.generate({ tokens: [token] }, options)).text);
        let state = 7;
        const random = (below) => { state = (state * 48271) % 2147483647; return state % below; };
        let checked = 0;
        const wrong = [];
        const start = () => {
          const worker = startWorker(\`
            const { handle, expected, options } = workerData;
            const llm = LLM.attach(handle);
            let running = true;
            parentPort.once('message', () => { running = false; });
            const check = async (token) => {
              let text = '';
              for await (const chunk of llm.stream({ tokens: [token] }, options)) text += chunk.text;
              parentPort.postMessage(text === expected[token] ? 'right' : text);
            };
            for (let i = 0; running; i++) await Promise.all([0, 1, 2, 3].map((j) => check((i * 4 + j) % 20)));
          \`, { handle: llm.handle, expected, options });
          worker.on('message', (answer) => { checked++; if (answer !== 'right') wrong.push(answer); });
          worker.on('error', (error) => wrong.push(error));
          return worker;
        };
        const workers = Array.from({ length: 8 }, start);
        for (let i = 0; i < 16; i++) {
          const until = checked + random(40);
          while (checked < until) await turn();
          await workers.splice(random(8), 1)[0].terminate();
          workers.push(start());
        }
        const until = checked + 200;
        while (checked < until) await turn();
        for (const worker of workers) worker.postMessage('stop');
        await Promise.all(workers.map((worker) => once(worker, 'exit')));
        console.log(wrong);
        for (const [token, text] of expected.entries()) {
          if ((await llm.generate({ tokens: [token] }, options)).text !== text) console.log('main', token);
        }
        while (llm.stats().activeRequests > 0) await turn(); // those of the terminated are cancelled
        console.log(llm.stats().unknownRows, llm.stats().kvBlocksUsed);
        await llm.close();
      `;
      ends(await runProgram(program, engines), { status: 0, out: '[]\n0 0\n' });
    });
  }
});
