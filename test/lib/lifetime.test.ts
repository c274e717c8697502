import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import { tinyEngine } from '../tools/engines.js';

// What Node does to an addon, each in a process of its own: a crash there is an exit code here.
interface Exit {
  status: number | null;
  signal: string | null;
  out: string;
  err: string;
}

let engine: string;
before(async () => {
  engine = await tinyEngine();
});

async function runProgram(body: string, ...flags: string[]): Promise<Exit> {
  const prelude = `
    import { LLM } from 'node-tensorrt-llm';
    import { Worker } from 'node:worker_threads';
    const engine = ${JSON.stringify(engine)};
    const LONG = { maxTokens: 8000, temperature: 0, ignoreEos: true };
    const started = async (generation) => { for await (const _ of generation) return; };
  `;
  const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', prelude + body]);
  let out = '';
  let err = '';
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    err += data;
  });
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { status, signal, out, err };
}

const ends = ({ status, signal, out, err }: Exit, expected: { status: number; out: string }): void =>
  assert.deepEqual({ status, signal, out }, { signal: null, ...expected }, err);

describe('a process', () => {
  test('with an idle LLM nobody closed ends by itself', async () => {
    ends(await runProgram(`await LLM.load(engine); console.log('loaded');`), { status: 0, out: 'loaded\n' });
  });

  test('lives until a running request has ended, though nothing else keeps it', async () => {
    const body = `
      const llm = await LLM.load(engine);
      llm.generate('hello', { ...LONG, maxTokens: 50 }).then(({ usage }) => console.log(usage.completionTokens));
    `;
    ends(await runProgram(body), { status: 0, out: '50\n' });
  });

  const exits: [string, string][] = [
    ['while it loads', `LLM.load(engine); setImmediate(() => process.exit(7));`],
    [
      'during prefill',
      `const llm = await LLM.load(engine); llm.stream('x'.repeat(7000), LONG); setTimeout(() => process.exit(7), 20);`,
    ],
    [
      'during decode',
      `const llm = await LLM.load(engine); for await (const _ of llm.stream('x', LONG)) process.exit(7);`,
    ],
    [
      'while it closes',
      `const llm = await LLM.load(engine); llm.stream('x', LONG); setTimeout(() => { llm.close(); process.exit(7); }, 20);`,
    ],
    ['with the LLM closed', `const llm = await LLM.load(engine); await llm.close(); process.exit(7);`],
  ];
  for (const [when, body] of exits) {
    test(`that calls process.exit() ${when} exits with its own code`, async () => {
      ends(await runProgram(body), { status: 7, out: '' });
    });
  }

  test('that dies of an uncaught throw during decode exits with status 1', async () => {
    const body = `const llm = await LLM.load(engine); for await (const _ of llm.stream('x', LONG)) throw new Error('mine');`;
    const exit = await runProgram(body);
    ends(exit, { status: 1, out: '' });
    assert.match(exit.err, /mine/);
  });

  test('that closes in an abort listener and streams in another ends well', async () => {
    const body = `
      const llm = await LLM.load(engine);
      const controller = new AbortController();
      let inner;
      controller.signal.addEventListener('abort', () => { inner = llm.stream('again', { ...LONG, maxTokens: 3 }).result; });
      const outer = llm.stream('x', { ...LONG, signal: controller.signal });
      await started(outer);
      controller.abort();
      console.log((await inner).usage.completionTokens);
      controller.signal.addEventListener('abort', () => {});
      await llm.close();
    `;
    ends(await runProgram(body), { status: 0, out: '3\n' });
  });
});

describe('a worker', () => {
  // It inherits --input-type, so its program is a module too.
  const worker = (body: string): string => `
    new Worker(\`
      import { parentPort, workerData } from 'node:worker_threads';
      import { LLM } from 'node-tensorrt-llm';
      const llm = await LLM.load(workerData);
      ${body}
    \`, { eval: true, workerData: engine })`;

  test('that alone loaded the addon may be terminated at any moment, and the process lives', async () => {
    const streaming = worker(`
      for await (const _ of llm.stream('x', { maxTokens: 8000, ignoreEos: true })) parentPort.postMessage(0);
    `);
    const body = `
      import { once } from 'node:events';
      for (let i = 0; i < 40; i++) {
        const worker = ${streaming};
        if (i % 4 === 3) await new Promise((resolve) => setTimeout(resolve, 40 + i)); // about while it loads
        else await once(worker, 'message');
        await worker.terminate();
      }
      console.log('alive');
    `;
    ends(await runProgram(body), { status: 0, out: 'alive\n' });
  });

  test('that ends by itself with a request running leaves the process alive', async () => {
    const body = `
      import { once } from 'node:events';
      const worker = ${worker(`
        for await (const _ of llm.stream('x', { maxTokens: 8000, ignoreEos: true })) process.exit(3);
      `)};
      console.log(...(await once(worker, 'exit')));
    `;
    ends(await runProgram(body), { status: 0, out: '3\n' });
  });
});

describe('garbage collection', () => {
  test('frees a request that has ended, though its result was awaited or its error leads back to it', async () => {
    const body = `
      const registry = new FinalizationRegistry((which) => console.log(which));
      const llm = await LLM.load(engine);
      const ask = async (options) => {
        const generation = llm.stream('x', { ...LONG, ...options });
        registry.register(generation, 'freed');
        return { generation, settled: await generation.result.catch(() => {}) };
      };
      await ask({ maxTokens: 2 });
      await (async () => {
        const controller = new AbortController();
        const asked = ask({ signal: controller.signal });
        controller.abort(asked);
        await asked;
      })();
      for (let i = 0; i < 20; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
      await llm.close();
    `;
    ends(await runProgram(body, '--expose-gc'), { status: 0, out: 'freed\nfreed\n' });
  });

  test('frees an LLM that nobody holds and nobody closed', async () => {
    const body = `
      const registry = new FinalizationRegistry(() => console.log('freed'));
      await (async () => { registry.register(await LLM.load(engine), 0); })();
      for (let i = 0; i < 100; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
    `;
    ends(await runProgram(body, '--expose-gc'), { status: 0, out: 'freed\n' });
  });
});
