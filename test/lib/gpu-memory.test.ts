import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, test } from 'node:test';
import type { LoadOptions } from 'node-tensorrt-llm';
import { H200, packageOn } from '../tools/cuda-machine.js';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { directoryOf, useEnvironment } from '../tools/fake-tensorrt-llm.js';
import { packageWith } from '../tools/package-copy.js';

const refused = failsWith('ERR_OUT_OF_MEMORY', /^GPU \d \(.*\) has .* GB free; expected /);

beforeEach(() => useEnvironment({}));

describe('LLM.load() on a GPU that is nearly full', () => {
  // An executor that were created would throw this instead.
  const untouched = { throw_in: 'create' };
  const touched = failsWith('ERR_INTERNAL', 'scripted throw in create');

  test("refuses a checkpoint before the executor is created, with 'cuda' and with 'auto'", async () => {
    const [device] = H200.devices;
    assert(device);
    const devices = [1e6, 149e9, null].map((freeBytes) => ({ ...device, freeBytes }));
    const { LLM } = await packageOn({ ...H200, devices });
    const dir = await scriptedEngine(untouched);
    const on = (id: number): LoadOptions => ({ executor: 'cuda', parallel: { deviceIds: [id] } });
    await assert.rejects(LLM.load(dir), refused);
    await assert.rejects(LLM.load(dir, on(0)), refused);
    await assert.rejects(LLM.load(dir, on(1)), touched);
    await assert.rejects(LLM.load(dir, on(2)), touched, 'where its free memory is not known');
  });

  test('leaves it to the executor where the driver crashes', async () => {
    const { LLM } = await packageOn({ does: 'abort();' });
    await assert.rejects(LLM.load(await scriptedEngine(untouched), { executor: 'cuda' }), touched);
  });

  test('refuses a TensorRT engine by what nvidia-smi says, unless weights are streamed or mpirun has put ranks there', async () => {
    const { LLM } = await packageWith({ 'libexecutor_tensorrt_llm.so': SCRIPTED_LIBRARY });
    const dir = await scriptedEngine(untouched);
    await rename(join(dir, 'rank0.safetensors'), join(dir, 'rank0.engine'));
    const nvidiaSmi = '#!/bin/sh\necho "0, NVIDIA L4, 8.9, 23034, 0, 580.95.05"\n';
    const PATH = join(await directoryOf({ 'bin/nvidia-smi': nvidiaSmi }), 'bin');
    const executor = 'tensorrt-llm';
    await assert.rejects(LLM.load(dir, { executor }), touched, 'no nvidia-smi');
    useEnvironment({ PATH });
    await assert.rejects(LLM.load(dir, { executor }), refused);
    await assert.rejects(LLM.load(dir, { executor, gpuWeightsFraction: 0.5 }), touched);
    useEnvironment({ PATH, OMPI_COMM_WORLD_SIZE: '2' });
    await assert.rejects(LLM.load(dir, { executor }), touched);
  });
});
