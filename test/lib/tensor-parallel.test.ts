import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type ConvertOptions, convert, LLM, type LoadOptions } from 'node-tensorrt-llm';
import { temporaryDirectory } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../tools/tiny-llama.js';
import { FORMATS, writeTinyQuantized } from '../tools/tiny-quantized.js';

const CPU: LoadOptions = { executor: 'cpu', threads: 2 };
const SPLITS: readonly ConvertOptions[] = [
  { tpSize: 2 },
  { tpSize: 4, parallelEmbedding: true },
  { ppSize: 2 },
  { tpSize: 2, ppSize: 2, parallelEmbedding: true },
];

/** Converts a model, in float32 so that only the order of sums can differ, once for each way to split it. */
async function engines(spec: TinyLlamaSpec, splits: readonly ConvertOptions[]): Promise<string[]> {
  const dir = await temporaryDirectory();
  await writeTinyLlama(join(dir, 'source'), spec);
  return Promise.all(
    [{}, ...splits].map((options, i) =>
      convert(join(dir, 'source'), join(dir, String(i)), { dtype: 'float32', ...options }),
    ),
  );
}

async function withEngine<T>(dir: string, use: (llm: LLM) => Promise<T>, options: LoadOptions = CPU): Promise<T> {
  const llm = await LLM.load(dir, options);
  try {
    return await use(llm);
  } finally {
    await llm.close();
  }
}

/** Whether an engine that is split gives the logits and the embedding, within the order of sums, and the text of another. */
async function answersAlike(
  whole: string,
  split: string,
  { vocabSize }: TinyLlamaSpec,
  name: string,
  tolerance = 2e-6,
): Promise<void> {
  const tokens = prompt(70, vocabSize);
  const answer = async (llm: LLM) => {
    const options = { maxTokens: 16, temperature: 0, ignoreEos: true, returnContextLogits: true };
    const { outputs, contextLogits } = await llm.generate({ tokens }, options);
    const [embedding] = (await llm.embed({ tokens }, { pooling: 'mean' })).embeddings;
    return { tokens: outputs[0]?.tokens, contextLogits, embedding };
  };
  const expected = await withEngine(whole, answer);
  const logits = expected.contextLogits?.data ?? new Float32Array();
  const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const found = await withEngine(split, answer);
  const error = found.contextLogits?.data.reduce(
    (most, value, at) => Math.max(most, Math.abs(value - (logits[at] as number))),
    0,
  );
  assert(Number(error) < tolerance * largest, `${name}: ${error} of ${largest}`);
  assert.deepEqual(found.tokens, expected.tokens);
  const lengths = [found.embedding, expected.embedding].map((embedding) => embedding?.length);
  assert.equal(lengths[0], lengths[1]);
  for (const [i, value] of (found.embedding ?? []).entries()) {
    assert(
      Math.abs(value - (expected.embedding?.[i] ?? Number.NaN)) < tolerance,
      `${name}: the embedding's number ${i}`,
    );
  }
}

const prompt = (length: number, vocabSize: number): number[] =>
  Array.from({ length }, (_, i) => (i * 37 + 5) % vocabSize);

describe('an engine of several ranks on the CPU', () => {
  const models: readonly [name: string, spec: TinyLlamaSpec, splits: readonly ConvertOptions[]][] = [
    ['two KV heads', TINY_LLAMAS.gqa, SPLITS],
    ['one KV head for all', { ...TINY_LLAMAS.mqa, layers: 2 }, SPLITS],
    ['biases, and a head of its own', TINY_LLAMAS.biases, SPLITS],
    ['a vocabulary that does not divide', { ...TINY_LLAMAS.untied, vocabSize: 163 }, SPLITS],
    ['norms of queries and keys', TINY_LLAMAS.qwen3, [{ tpSize: 2 }]],
    ['fused matrices', TINY_LLAMAS.phi3, [{ tpSize: 2 }]],
    ['a window in some layers', TINY_LLAMAS['qwen2-window'], [{ ppSize: 3 }]],
    ['no RoPE in some layers', TINY_LLAMAS.smollm3, [{ ppSize: 5 }]],
  ];
  for (const [name, spec, splits] of models) {
    test(`${name}: gives the logits and the text of one rank`, async () => {
      const [whole, ...split] = (await engines(spec, splits)) as [string, ...string[]];
      for (const [i, dir] of split.entries()) await answersAlike(whole, dir, spec, JSON.stringify(splits[i]));
    });
  }

  // Halves of 160 and 32 inputs are whole groups.
  const quantized: TinyLlamaSpec = { ...TINY_LLAMAS.untied, intermediateSize: 320, dtype: 'float32' };
  for (const format of FORMATS) {
    test(`weights in ${format}: gives the logits and the text of one rank`, async () => {
      const dir = await temporaryDirectory();
      const source = join(dir, 'source');
      await writeTinyQuantized(source, quantized, format);
      const whole = await convert(source, join(dir, 'whole'));
      for (const options of [{ tpSize: 2 }, { tpSize: 2, ppSize: 2 }]) {
        const split = await convert(source, join(dir, 'split'), options);
        // Whose keys and values are rounded to float16, after sums in another order.
        await answersAlike(whole, split, quantized, JSON.stringify(options), 1e-4);
      }
    });
  }

  test('groups that would not be whole are refused by the name of the matrix', async () => {
    const dir = await temporaryDirectory();
    await writeTinyQuantized(join(dir, 'source'), quantized, 'awq');
    const expected = failsWith(
      'ERR_INVALID_OPTION',
      'tpSize',
      /transformer\.layers\.0\.attention\.dense\.w.* groups of 32, of which a rank would get 0\.5/,
    );
    await assert.rejects(convert(join(dir, 'source'), join(dir, 'split'), { tpSize: 4 }), expected);
  });

  test('says how it is split, and counts the weights and the cache of all ranks', async () => {
    const [whole, tp2, tp4, pp2] = (await engines(TINY_LLAMAS.gqa, SPLITS)) as [string, string, string, string];
    const infoOf = (dir: string) => withEngine(dir, async ({ info }) => info, { ...CPU, kvCache: { maxTokens: 1024 } });
    const one = await infoOf(whole);
    const two = await infoOf(tp2);
    assert.match(two.device, /^2 ranks, 2 threads, /);
    assert.deepEqual([one.tensorParallelSize, two.tensorParallelSize], [1, 2]);
    assert.equal(two.kvCacheBytes, one.kvCacheBytes);
    assert.equal((await infoOf(tp4)).kvCacheBytes, 2 * one.kvCacheBytes); // two KV heads, each of which two ranks have
    const staged = await infoOf(pp2);
    assert.equal(staged.kvCacheBytes, one.kvCacheBytes);
    assert.equal(staged.tensorParallelSize, 1);
    assert(two.weightBytes > one.weightBytes); // the embedding twice
  });

  test('a batch of requests, and several sequences of one, give what each gives alone', async () => {
    const [, tp2] = (await engines(TINY_LLAMAS.biases, [{ tpSize: 2 }])) as [string, string];
    await withEngine(tp2, async (llm) => {
      const request = (i: number) =>
        [
          { tokens: prompt(3 + i, 160) },
          { maxTokens: 24, temperature: 1, seed: i, n: 1 + (i % 3), ignoreEos: true },
        ] as const;
      const ids = Array.from({ length: 24 }, (_, i) => i);
      const alone = [];
      for (const i of ids) alone.push((await llm.generate(...request(i))).outputs.map(({ tokens }) => tokens));
      const together = await Promise.all(
        ids.map(async (i) => (await llm.generate(...request(i))).outputs.map(({ tokens }) => tokens)),
      );
      assert.deepEqual(together, alone);
    });
  });

  test('a close in the middle of a long prompt ends all ranks', async () => {
    const [, tp2] = (await engines({ ...TINY_LLAMAS.biases, layers: 8 }, [{ tpSize: 2 }])) as [string, string];
    const llm = await LLM.load(tp2, { ...CPU, maxNumTokens: 4096 });
    const running = llm.generate({ tokens: prompt(4000, 160) }, { maxTokens: 4 });
    const failed = assert.rejects(running, failsWith('ERR_CLOSED'));
    while (llm.stats().activeRequests === 0) await new Promise(setImmediate);
    await llm.close();
    await failed;
  });

  test('runs in a process of its own, and with dummy weights', async () => {
    const [, tp2] = (await engines(TINY_LLAMAS.gqa, [{ tpSize: 2 }])) as [string, string];
    const text = (llm: LLM) => llm.generate({ tokens: [1, 2, 3] }, { maxTokens: 8, temperature: 0, ignoreEos: true });
    const here = await withEngine(tp2, text);
    const there = await withEngine(tp2, text, { ...CPU, isolation: 'process' });
    assert.deepEqual(there.outputs[0]?.tokens, here.outputs[0]?.tokens);
    const dummy = await withEngine(tp2, text, { ...CPU, loadFormat: 'dummy' });
    assert.equal(dummy.outputs[0]?.tokens.length, 8);
  });

  test('a rank that is missing, or of another build, is refused by its file', async () => {
    const [whole, tp2] = (await engines(TINY_LLAMAS.gqa, [{ tpSize: 2 }])) as [string, string];
    const mixed = join(await temporaryDirectory(), 'mixed');
    await cp(tp2, mixed, { recursive: true });
    await rm(join(mixed, 'manifest.json'));
    await cp(join(whole, 'rank0.safetensors'), join(mixed, 'rank1.safetensors'));
    await assert.rejects(LLM.load(mixed, CPU), failsWith('ERR_ENGINE_WEIGHTS', 'rank1.safetensors'));
    await rm(join(mixed, 'rank1.safetensors'));
    await assert.rejects(LLM.load(mixed, CPU), failsWith('ERR_ENGINE_RANKS', 'rank1.safetensors'));
    const asked = { ...CPU, tensorParallelSize: 4 };
    await assert.rejects(LLM.load(tp2, asked), failsWith('ERR_INVALID_OPTION', /tensorParallelSize is 4; expected 2/));
  });
});
