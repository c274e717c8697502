import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { findCudaHeaders } from '#lib/machine/cuda-headers.js';
import { failsWith } from '../../tools/fails-with.js';
import { directoryOf, useEnvironment } from '../../tools/fake-tensorrt-llm.js';

const CUDA_H = '#define CUDA_VERSION 12090\n';
const hasToolkit = ['/usr/local/cuda', '/usr/include/cuda_fp16.h'].some((path) => existsSync(path));

beforeEach(() => useEnvironment({}));

test("CUDA_HOME's headers go before the packages of python3, and cuda.h tells the version", async () => {
  const toolkit = await directoryOf({
    'targets/x86_64-linux/include/cuda_fp16.h': '',
    'targets/x86_64-linux/include/cuda.h': CUDA_H,
  });
  const packages = await directoryOf({ 'nvidia/cuda_runtime/include/cuda_fp16.h': '' });
  useEnvironment({ CUDA_HOME: toolkit });
  const includeDirs = [join(toolkit, 'targets/x86_64-linux/include')];
  assert.deepEqual(findCudaHeaders([packages]), { includeDirs, version: '12.9' });
});

test("NVIDIA's wheels for CUDA 12 have headers in one directory each, those for 13 in one", {
  skip: hasToolkit,
}, async () => {
  const cu12 = await directoryOf({
    'nvidia/cuda_runtime/include/cuda_fp16.h': '',
    'nvidia/cuda_nvcc/include/crt/host_defines.h': '',
    'nvidia/cuda_cccl/include/nv/target': '',
  });
  assert.deepEqual(
    findCudaHeaders([cu12]).includeDirs,
    ['runtime', 'nvcc', 'cccl'].map((name) => join(cu12, `nvidia/cuda_${name}/include`)),
  );
  const cu13 = await directoryOf({
    'nvidia/cu13/include/cuda_fp16.h': '',
    'nvidia/cu13/include/cccl/nv/target': '',
  });
  const dir = join(cu13, 'nvidia/cu13/include');
  assert.deepEqual(findCudaHeaders([cu13]).includeDirs, [dir, join(dir, 'cccl')]);
});

test('without a header the error says where it was looked for and what brings it', { skip: hasToolkit }, async () => {
  useEnvironment({ CUDA_HOME: '/no/such/toolkit' });
  assert.throws(
    () => findCudaHeaders([]),
    failsWith('ERR_EXECUTOR_UNAVAILABLE', 'cuda_fp16.h', '/no/such/toolkit', 'pip install nvidia-cuda-runtime'),
  );
});
