import { test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { ends, runProgram } from '../../tools/programs.js';

// Node ends a process at its first unhandled rejection, with status 1.
test('an error that nobody reads is no unhandled rejection, however the request fails', async () => {
  const program = `
    const llm = await LLM.load(engine, { maxSeqLen: 64, maxBatchSize: 1 });
    const failing = await LLM.load(scripted, SCRIPTED);
    const aborted = new AbortController();
    const fail = [
      () => llm.stream(''),
      () => llm.stream('x'.repeat(64)),
      () => llm.stream({ tokens: [9999] }),
      () => llm.stream(null),
      () => llm.stream('x', { topK: -1 }),
      () => llm.stream('x', { signal: AbortSignal.abort() }),
      () => llm.stream('x', { signal: aborted.signal }),
      () => llm.stream('x', { queueTimeoutMs: 1 }),
      () => failing.stream({ tokens: [0] }, { maxTokens: 5 }), // the executor fails it
    ];
    for (const start of fail) {
      start();
      start().result;
      start().textStream;
      start().toReadableStream();
      start()[Symbol.asyncIterator]();
    }
    const blocking = llm.stream('x', LONG).result; // the last ones wait for it
    setTimeout(() => aborted.abort(), 1);
    await sleep(20);
    llm.stream('x', LONG).result; // ends by the close
    await Promise.all([llm.close(), failing.close()]);
    llm.stream('x').result;
    await sleep(20);
    console.log('no rejection');
  `;
  const constants = { engine: await tinyEngine(), scripted: await scriptedEngine({ fail_every: 1 }) };
  ends(await runProgram(program, constants), { status: 0, out: 'no rejection\n' });
});

test('an error of one of several inputs that nobody reads but by their promise is told once', async () => {
  const program = `
    const llm = await LLM.load(engine);
    let told = 0;
    await llm.generate(['x', '', 'y', ''], { maxTokens: 3 }).catch(() => told++);
    await sleep(20);
    console.log(told);
    await llm.close();
  `;
  ends(await runProgram(program, { engine: await tinyEngine() }), { status: 0, out: '1\n' });
});
