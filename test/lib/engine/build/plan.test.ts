import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Plan, type PlannedChoice, plan } from 'node-tensorrt-llm';
import { failsWith } from '../../../tools/fails-with.js';
import { hollowCheckpoint, NEMOTRON } from '../../../tools/hollow-checkpoint.js';
import { temporaryDirectory } from '../helpers.js';

function choiceOf({ choices }: Plan, quantization: string | null, tpSize: number, ppSize = 1): PlannedChoice {
  const found = choices.find(
    (each) => each.quantization === quantization && each.tpSize === tpSize && each.ppSize === ppSize,
  );
  assert(found, `${quantization} tp ${tpSize} pp ${ppSize}`);
  return found;
}

test('a 70B on two H100s: the weights of each rank to the byte, and two GPUs in bfloat16 recommended', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, NEMOTRON);
  const result = await plan(dir, { gpus: '2xH100-80GB', maxSeqLen: 4096 });
  assert.equal(result.parameters, 70_553_706_496); // as the model card of Llama 3.1 70B counts them
  assert.equal(result.gpus.count, 2);
  const half = choiceOf(result, null, 2);
  // (70,553,706,496 weights - what each rank has whole: the embedding and 161 norms) / 2, plus that.
  const whole = 128_256 * 8192 + 161 * 8192;
  assert.equal(half.weightBytes, 2 * ((70_553_706_496 - whole) / 2 + whole));
  assert.equal(half.kvBytesPerToken, 2 * 2 * 80 * 4 * 128);
  assert.equal(half.fits, true);
  assert.equal(result.recommended, half);
  assert.equal(choiceOf(result, null, 1).tokens, 0);
  // One byte per weight of the linear layers, or of the MLPs between the first and the last, and their scales; the rest as it is.
  const mlp = 3 * 8192 * 28_672;
  const linear = 80 * (8192 * (8192 + 2 * 1024) + 8192 * 8192 + mlp);
  const outputs = 80 * (8192 + 2 * 1024 + 8192 + 2 * 28_672 + 8192);
  assert.equal(choiceOf(result, 'int8_wo', 1).weightBytes, 2 * (70_553_706_496 - linear + outputs) + linear);
  assert.equal(choiceOf(result, 'fp8', 1).weightBytes, 2 * 70_553_706_496 - linear + 80 * 5 * 8);
  const rowwise = 2 * 70_553_706_496 - 78 * (mlp - 4 * (2 * 28_672 + 8192));
  assert.equal(choiceOf(result, 'fp8_rowwise', 1).weightBytes, rowwise);
  assert.match(String(choiceOf(result, 'fp8_rowwise', 1, 2).obstacle), /one stage/);
  // A stage has half the layers, and the embedding or the head.
  assert.equal(choiceOf(result, null, 1, 2).kvBytesPerToken, half.kvBytesPerToken);
});

test('with parallelEmbedding, a rank has its part of the embedding only', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, { ...NEMOTRON, num_hidden_layers: 2 });
  const whole = await plan(dir, { gpus: '4xH100-80GB' });
  const split = await plan(dir, { gpus: '4xH100-80GB', parallelEmbedding: true });
  const saved = (tpSize: number): number =>
    choiceOf(whole, null, tpSize).weightBytes - choiceOf(split, null, tpSize).weightBytes;
  const embedding = 2 * 128_256 * 8192;
  assert.deepEqual([saved(1), saved(2), saved(4)], [0, embedding / 2, (embedding * 3) / 4]);
});

test('a 70B is planned for in under a second', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, NEMOTRON);
  const start = performance.now();
  await plan(dir, { gpus: 'H200' });
  t.diagnostic(`${(performance.now() - start).toFixed(0)} ms`);
});

test('KV heads are copied where there are more ranks than heads, and what does not divide is said', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, { ...NEMOTRON, num_hidden_layers: 3, intermediate_size: 28_664 });
  const result = await plan(dir, { gpus: '16xA100-80GB' });
  assert.equal(choiceOf(result, null, 16).obstacle, 'intermediate_size 28664 does not divide by 16');
  assert.equal(choiceOf(result, null, 1, 2).obstacle, '3 layers do not divide by 2');
  assert.equal(choiceOf(result, 'int4_awq', 8).obstacle, 'groups of 128 weights do not fit a matrix of 3583 columns');
  assert.equal(choiceOf(result, 'int4_awq', 8).tokens, 0);
  assert.equal(choiceOf(result, null, 8).kvBytesPerToken, 2 * 2 * 3 * 128);
  const even = await temporaryDirectory(t);
  await hollowCheckpoint(even, { ...NEMOTRON, num_hidden_layers: 3 });
  const copied = await plan(even, { gpus: '16xA100-80GB' });
  assert.equal(choiceOf(copied, null, 16).kvBytesPerToken, 2 * 2 * 3 * 128);
});

test('a T4 has neither bfloat16 nor FP8', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, { ...NEMOTRON, num_hidden_layers: 2 });
  const { choices } = await plan(dir, { gpus: 'T4' });
  assert.deepEqual(new Set(choices.map(({ dtype }) => dtype)), new Set(['float16']));
  assert(choices.every(({ quantization }) => !quantization?.startsWith('fp8')));
});

test('where nothing fits, nothing is recommended', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, NEMOTRON);
  const result = await plan(dir, { gpus: 'T4' });
  assert.equal(result.recommended, undefined);
  assert(result.choices.every(({ tokens, fits }) => tokens === 0 && !fits));
});

test('GPUs are named as people write them; others are refused with the names that are known', async (t) => {
  const dir = await temporaryDirectory(t);
  await hollowCheckpoint(dir, { ...NEMOTRON, num_hidden_layers: 1 });
  for (const gpus of ['4 x a100-40gb', '4xA100 40GB', 'NVIDIA A100-40GB']) {
    assert.equal((await plan(dir, { gpus })).gpus.name, 'A100-40GB');
  }
  for (const gpus of ['2xH1000', '0xT4', '9999xT4', 'x', '2x']) {
    await assert.rejects(plan(dir, { gpus }), failsWith('ERR_INVALID_OPTION', /2xH100-80GB.*Kinds: T4/));
  }
});
