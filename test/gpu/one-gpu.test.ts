// What only a GPU can show; skipped where there is none: `npm run build:cuda -- --tests && npm run test:js -- gpu/`.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { failsWith } from '../tools/fails-with.js';
import {
  assertGreedy,
  freeGpuBytes,
  hasFreeGpuBytes,
  TRAP,
  TRAPPING_LIBRARY,
  tinyEngineOf,
  withoutGpu,
} from '../tools/gpu.js';
import { hasChunk, LONG } from '../tools/program.js';
import { ends, runProgram } from '../tools/programs.js';
import type { Work as LostGpu } from './programs/lost-gpu.js';
import type { Work as Neighbour } from './programs/neighbour.js';

const skip = await withoutGpu();
const program = (name: string): URL => new URL(`./programs/${name}.js`, import.meta.url);
const CUDA: LoadOptions = { executor: 'cuda' };
const PROMPT = Array.from('Once upon a time', (letter) => letter.charCodeAt(0));
const GREEDY = { maxTokens: 200, temperature: 0, ignoreEos: true };

let engines: [string, string];
before(async () => {
  if (!skip) engines = [await tinyEngineOf(1), await tinyEngineOf(2)];
});

const tokensOf = async (llm: LLM): Promise<number[]> => {
  const { outputs } = await llm.generate({ tokens: PROMPT }, GREEDY);
  return Array.from(outputs[0]?.tokens ?? []);
};

async function assertRight(engine: string, tokens: readonly number[]): Promise<void> {
  const cpu = await LLM.load(engine, { executor: 'cpu' });
  await assertGreedy(cpu, PROMPT, tokens);
  await cpu.close();
}

describe('several engines on one GPU', { skip }, () => {
  before(async () => {
    const llm = await LLM.load(engines[0], CUDA); // from now on the process has its context, and the library its code
    await tokensOf(llm);
    await llm.close();
  });

  test('in one process run at the same time, each with its own text, and closing one leaves the other', async () => {
    const free = await freeGpuBytes();
    const [first, second] = await Promise.all(engines.map((engine) => LLM.load(engine, CUDA)));
    assert.ok(first && second);
    const alone = [await tokensOf(first), await tokensOf(second)] as const;
    assert.notDeepEqual(alone[0], alone[1]);
    for (let round = 0; round < 20; round++) {
      assert.deepEqual(await Promise.all([tokensOf(first), tokensOf(second)]), alone, `round ${round}`);
    }
    const running = second.stream({ tokens: PROMPT }, GREEDY);
    await hasChunk(running);
    await first.close();
    assert.deepEqual(Array.from((await running.result).outputs[0]?.tokens ?? []), alone[1]);
    assert.deepEqual(await tokensOf(second), alone[1]);
    await second.close();
    await hasFreeGpuBytes(free);
    for (const [i, engine] of engines.entries()) await assertRight(engine, alone[i] ?? []);
  });

  test('in two processes run at the same time, and the end of one leaves the other', async () => {
    const llm = await LLM.load(engines[0], CUDA);
    const alone = await tokensOf(llm);
    const free = await freeGpuBytes();
    const work: Neighbour = { engine: engines[1], prompt: PROMPT, requests: 200, options: GREEDY };
    let ended = false;
    const neighbour = runProgram(program('neighbour'), work).finally(() => {
      ended = true;
    });
    while (!ended) assert.deepEqual(await tokensOf(llm), alone);
    const { status, told, err } = await neighbour;
    assert.equal(status, 0, err);
    const [{ tokens, ...counts }] = told as [{ requests: number; different: number; tokens: number[] }];
    assert.deepEqual(counts, { requests: 200, different: 1 });
    assert.deepEqual(await tokensOf(llm), alone);
    await hasFreeGpuBytes(free);
    await llm.close();
    await assertRight(engines[0], alone);
    await assertRight(engines[1], tokens);
  });

  test('give all memory back when they are closed, however often that is', async () => {
    const left: number[] = [];
    for (let i = 0; i < 10; i++) {
      const llm = await LLM.load(engines[i % 2] ?? '', CUDA);
      const free = await freeGpuBytes();
      left.push(free);
      await tokensOf(llm);
      await llm.close();
      await hasFreeGpuBytes(free + llm.info.kvCacheBytes);
    }
    // The first may have been loaded while memory of the tests before came back.
    const lost = (left[1] ?? 0) - (left.at(-1) ?? 0);
    assert.ok(lost < 32 * 2 ** 20, `${lost} bytes are lost`);
  });
});

test('a model that does not fit beside what else uses the GPU is refused with what is needed and free', {
  skip,
}, async () => {
  const loading = LLM.load(engines[0], { ...CUDA, kvCache: { maxTokens: 2 ** 31 - 64 } });
  await assert.rejects(
    loading,
    failsWith(
      'ERR_OUT_OF_MEMORY',
      /^kvCache needs \d+ MiB for \d+ blocks .*; expected at most \d+ MiB, which .* has left/,
    ),
  );
});

describe('a GPU that is lost while requests run', { skip }, () => {
  let isolated: LLM | undefined;
  after(() => isolated?.close());

  test("fails them all with isolation: 'process', and the next ones run in a new process", async () => {
    isolated = await LLM.load(engines[0], { executor: { library: TRAPPING_LIBRARY }, isolation: 'process' });
    const llm = isolated;
    const expected = await tokensOf(llm);
    for (let round = 0; round < 2; round++) {
      const running = Array.from({ length: 4 }, () => llm.stream('abc', LONG));
      await Promise.all(running.map(hasChunk));
      const trap = llm.generate(TRAP, LONG);
      for (const result of [...running.map((generation) => generation.result), trap]) {
        await assert.rejects(result, failsWith('ERR_EXECUTOR_FAILED'));
      }
      assert.deepEqual(await tokensOf(llm), expected);
    }
    assert.equal(llm.stats().unknownRows, 0);
  });

  test('fails them all without isolation, and those that follow; the LLM closes, and the process ends by itself', async () => {
    const { status, signal, told, err } = await runProgram(program('lost-gpu'), {
      engine: engines[0],
    } satisfies LostGpu);
    const [running, later, close, load] = told as [string[], string, string, string];
    const lost = /^ERR_EXECUTOR_FAILED: .*The GPU is lost to this process: start a new one\./;
    assert.equal(running.length, 5);
    for (const each of [...running, later, load]) assert.match(each, lost);
    assert.equal(close, 'fulfilled');
    ends({ status, signal, told: [], err }, { status: 0, told: [] });
  });
});
