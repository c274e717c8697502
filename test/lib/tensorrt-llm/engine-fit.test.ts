import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EngineDirectory, openEngine } from '#lib/engine/directory.js';
import { misfits, readEngineNeeds } from '#lib/tensorrt-llm/engine-fit.js';
import { type Gpu, visibleGpus } from '#lib/tensorrt-llm/gpus.js';
import { failsWith } from '../../tools/fails-with.js';
import { directoryOf, useEnvironment } from '../../tools/fake-tensorrt-llm.js';

const gpu = (name: string, computeCapability: string, index = 0): Gpu => ({
  index,
  name,
  computeCapability,
  memoryTotalMb: 16_000,
  memoryFreeMb: 15_000,
});
const T4 = gpu('T4', '7.5');
const A100 = gpu('A100', '8.0');
const H100 = gpu('H100', '9.0');
const engine = { version: '1.2.1', types: ['float16'], ranks: 1 };

async function engineOf(model: object, ranks = 1): Promise<EngineDirectory> {
  const pretrained_config = { architecture: 'LlamaForCausalLM', vocab_size: 320, ...model };
  const config = JSON.stringify({ version: '1.2.1', pretrained_config, build_config: {} });
  const rankFiles = Array.from({ length: ranks }, (_, rank) => [`rank${rank}.engine`, ''] as const);
  return openEngine(await directoryOf({ 'config.json': config, ...Object.fromEntries(rankFiles) }));
}

test('config.json tells what an engine computes in, and its rank files how many GPUs it needs', async () => {
  const quantization = { quant_algo: 'FP8', kv_cache_quant_algo: 'FP8' };
  const large = await engineOf({ dtype: 'bfloat16', quantization, mapping: { tp_size: 2, pp_size: 3 } }, 6);
  assert.deepEqual(await readEngineNeeds(large), { version: '1.2.1', types: ['bfloat16', 'FP8'], ranks: 6 });
  const plain = await engineOf({ dtype: 'float16', quantization: { quant_algo: null } });
  assert.deepEqual(await readEngineNeeds(plain), engine);
});

test('a config.json that lacks a field is a typed error', async () => {
  await assert.rejects(readEngineNeeds(await engineOf({})), failsWith('ERR_ENGINE_CONFIG', 'pretrained_config.dtype'));
});

test('an engine that fits has no misfit', () => {
  assert.deepEqual(misfits(engine, '1.2.1', [T4]), []);
  assert.deepEqual(misfits({ ...engine, types: ['bfloat16'] }, '1.2.1', [A100]), []);
  assert.deepEqual(misfits({ ...engine, types: ['float16', 'FP8'] }, undefined, [H100]), []);
});

test('another version, more ranks than GPUs, and a type that a GPU lacks are each a misfit of their own', () => {
  const found = misfits({ ...engine, types: ['bfloat16', 'FP8'], ranks: 2 }, '1.1.0', [T4]);
  assert.equal(found.length, 4);
  assert.match(found[0] ?? '', /1\.2\.1, and 1\.1\.0 is here/);
  assert.match(found[1] ?? '', /needs 2 GPUs.* there are 1/);
  assert.match(found[2] ?? '', /bfloat16, which needs compute capability 8\.0 \(Ampere\); GPU 0, T4, has 7\.5/);
  assert.match(found[3] ?? '', /FP8, which needs compute capability 8\.9 \(Ada\)/);
});

test('only the GPUs that the ranks run on must compute in the type', () => {
  assert.deepEqual(misfits({ ...engine, types: ['bfloat16'] }, '1.2.1', [A100, gpu('T4', '7.5', 1)]), []);
});

test('CUDA_VISIBLE_DEVICES chooses among the GPUs and orders them; where it names no numbers all count', () => {
  const gpus = [gpu('a', '9.0', 0), gpu('b', '9.0', 1), gpu('c', '9.0', 2)];
  for (const [value, names] of [
    ['2,0', 'ca'],
    ['', ''],
    ['7', ''],
    ['GPU-5fe2', 'abc'],
  ] as const) {
    useEnvironment({ CUDA_VISIBLE_DEVICES: value });
    assert.equal(
      visibleGpus(gpus)
        .map(({ name }) => name)
        .join(''),
      names,
      value,
    );
  }
});
