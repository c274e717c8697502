import assert from 'node:assert/strict';
import { cp, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ConvertOptions, convert, type Diagnosis, verify } from 'node-tensorrt-llm';
import { temporaryDirectory } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../tools/tiny-llama.js';

async function make(options: ConvertOptions = {}, spec: TinyLlamaSpec = TINY_LLAMAS.text) {
  const dir = await temporaryDirectory();
  const source = join(dir, 'source');
  await writeTinyLlama(source, spec);
  return { dir, source, engine: await convert(source, join(dir, 'engine'), options) };
}

const wrongOnes = ({ findings }: Diagnosis): string[] =>
  findings.filter(({ state }) => state !== 'ok').map(({ name, found }) => `${name}: ${found}`);

/** Changes one byte, near the end. */
async function damage(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const { size } = await handle.stat();
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, size - 9);
    byte[0] = (byte[0] as number) ^ 0x40;
    await handle.write(byte, 0, 1, size - 9);
  } finally {
    await handle.close();
  }
}

test('an engine as it was written is in order, of one rank and of several', async () => {
  for (const options of [{}, { tpSize: 2, ppSize: 2 }, { quantization: 'int8_wo' as const }]) {
    const { engine } = await make(options);
    const progress: number[] = [];
    const diagnosis = await verify(engine, { onProgress: ({ done, total }) => progress.push(done / total) });
    assert.deepEqual(wrongOnes(diagnosis), []);
    assert.equal(diagnosis.ok, true);
    assert.equal(progress.at(-1), 1);
    assert(diagnosis.findings.some(({ name }) => name === 'tensors of rank 0'));
  }
});

test('a byte that changed, and a file that is gone, are named', async () => {
  const { engine } = await make();
  await damage(join(engine, 'rank0.safetensors'));
  await rm(join(engine, 'tokenizer_config.json'));
  const diagnosis = await verify(engine);
  assert.equal(diagnosis.ok, false);
  assert.match(
    wrongOnes(diagnosis).join('\n'),
    /rank0\.safetensors: differs.*\ntokenizer_config\.json: is missing|tokenizer_config.*\n.*rank0/,
  );
});

test('the file of a rank of another model is found by its tensors, where there are no hashes', async () => {
  const { dir, engine } = await make({ tpSize: 2 });
  const other = await make({ tpSize: 2 }, { ...TINY_LLAMAS.text, intermediateSize: 64 });
  const mixed = join(dir, 'mixed');
  await cp(engine, mixed, { recursive: true });
  await rm(join(mixed, 'manifest.json'));
  await cp(join(other.engine, 'rank1.safetensors'), join(mixed, 'rank1.safetensors'));
  const [found, ...others] = wrongOnes(await verify(mixed));
  assert.equal(others.length, 0);
  assert.match(
    found ?? '',
    /^tensors of rank 1: transformer\.layers\.0\.mlp\.fc\.weight has the shape \[32, 64\]; expected /,
  );
});

test('what is no engine is one finding', async () => {
  const dir = await temporaryDirectory();
  assert.match(wrongOnes(await verify(dir)).join(), /^config: .*config\.json/);
  await writeFile(join(dir, 'config.json'), '{');
  assert.equal((await verify(dir)).ok, false);
});

test('an engine in 4 bits is near its source if the likeliest tokens mostly are, and one of another model is not', async () => {
  const options: ConvertOptions = { quantization: 'int4_wo', dtype: 'float32' };
  const { engine, source } = await make(options);
  assert.deepEqual(wrongOnes(await verify(engine, { against: source })), []);
  const { engine: other } = await make(options, { ...TINY_LLAMAS.text, seed: 99 });
  assert.match(wrongOnes(await verify(other, { against: source })).join(), /^logits: /);
});

test('against its source, logits are compared: of the same model, of one split, of another', async () => {
  const { source, engine } = await make({ dtype: 'bfloat16' });
  const same = await verify(engine, { against: source });
  assert.deepEqual(wrongOnes(same), []);
  assert.match(same.findings.at(-1)?.found ?? '', /^at most .* from the source's, .* at \d+ of \d+ positions$/);
  const { engine: split } = await make({ tpSize: 2 });
  assert.deepEqual(wrongOnes(await verify(split, { against: source, prompts: ['Once upon a time'] })), []);
  const { engine: other } = await make({}, { ...TINY_LLAMAS.text, seed: 99 });
  assert.match(wrongOnes(await verify(other, { against: source })).join(), /^logits: /);
});

test('an abort throws its reason, and wrong options are errors', async () => {
  const { engine } = await make();
  await assert.rejects(verify(engine, { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  await assert.rejects(verify(engine, { prompts: [] }), failsWith('ERR_INVALID_OPTION', /prompts/));
  await assert.rejects(verify(engine, { against: '/nowhere' }), failsWith('ERR_SOURCE_NOT_FOUND', '/nowhere'));
});
