import { describe, test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { ends, runProgram } from '../../tools/programs.js';

const COLLECTED = { flags: ['--expose-gc'] };

describe('a Generation nobody holds or waits for is cancelled when it is collected, and its KV blocks are free:', () => {
  // Without the cancel each would run for 8000 tokens and end by 'length'.
  const DROPS = [
    ['one that was never read', `llm.stream('x', LONG);`],
    ['one whose reader took a chunk and went', `await hasChunk(llm.stream('x', LONG));`],
    ['one whose textStream was never read', `llm.stream('x', LONG).textStream;`],
    ['one whose web stream was never read', `llm.stream('x', LONG).toReadableStream();`],
  ] as const;
  for (const [what, drop] of DROPS) {
    test(what, async () => {
      const program = `
        import { subscribe } from 'node:diagnostics_channel';
        subscribe('node-tensorrt-llm:request:end', ({ finishReason }) => console.log(finishReason));
        const llm = await LLM.load(engine);
        await (async () => { ${drop} })();
        while (llm.stats().activeRequests === 0) await turn();
        while (llm.stats().activeRequests > 0 || llm.stats().kvBlocksUsed > 0) { gc(); await sleep(1); }
        await llm.close();
      `;
      ends(await runProgram(program, { engine: await tinyEngine() }, COLLECTED), { status: 0, out: 'cancelled\n' });
    });
  }
});

describe('garbage collection does not cancel a Generation', () => {
  // Each prints the length of what it got.
  const WAITS = [
    ['whose result is awaited', `llm.stream(input, options).result.then(({ text }) => done(text));`],
    [
      'whose reader waits',
      `(async () => { let all = ''; for await (const { text } of llm.stream(input, options)) all += text; done(all); })();`,
    ],
    [
      'whose textStream is read',
      `(async () => { let all = ''; for await (const text of llm.stream(input, options).textStream) all += text; done(all); })();`,
    ],
    [
      'whose web stream is read',
      `(async () => { let all = ''; for await (const { text } of llm.stream(input, options).toReadableStream()) all += text; done(all); })();`,
    ],
    [
      'whose LLM nobody holds either',
      `llm.stream(input, options).result.then(({ text }) => done(text)); llm = undefined;`,
    ],
  ] as const;
  for (const [what, start] of WAITS) {
    test(what, async () => {
      const program = `
        const input = { tokens: [0] };
        const options = { maxTokens: 100 };
        let ended = false;
        const done = (text) => { ended = true; console.log(text.length); };
        let llm = await LLM.load(engine, SCRIPTED);
        ${start}
        while (!ended) { gc(); await sleep(1); }
      `;
      ends(await runProgram(program, { engine: await scriptedEngine({ step_ms: 3 }) }, COLLECTED), {
        status: 0,
        out: '100\n',
      });
    });
  }
});

test('an LLM that nobody holds and nobody closed is freed', async () => {
  const program = `
    const registry = new FinalizationRegistry(() => { console.log('freed'); process.exit(); });
    await (async () => { registry.register(await LLM.load(engine), 0); })();
    for (let i = 0; i < 200; i++) { gc(); await sleep(5); }
  `;
  ends(await runProgram(program, { engine: await tinyEngine() }, COLLECTED), { status: 0, out: 'freed\n' });
});

test('a request that has ended is freed, though its result was awaited or its error leads back to it', async () => {
  const program = `
    const registry = new FinalizationRegistry(() => console.log('freed'));
    const llm = await LLM.load(engine);
    const ask = async (options) => {
      const generation = llm.stream('x', { ...LONG, ...options });
      registry.register(generation);
      return { generation, settled: await generation.result.catch(() => {}) };
    };
    await ask({ maxTokens: 2 });
    await (async () => {
      const controller = new AbortController();
      const asked = ask({ signal: controller.signal });
      controller.abort(asked);
      await asked;
    })();
    for (let i = 0; i < 20; i++) { gc(); await sleep(5); }
    await llm.close();
  `;
  ends(await runProgram(program, { engine: await tinyEngine() }, COLLECTED), { status: 0, out: 'freed\nfreed\n' });
});
