import { dirname, join } from 'node:path';
import type { CudaMachine } from '#lib/machine/cuda.js';
import { SCRIPTED_LIBRARY, temporaryDirectory } from './engines.js';
import { compileLibrary } from './fake-tensorrt-llm.js';
import { packageWith } from './package-copy.js';

/** What the library of the executor 'cuda' says of a machine with one H200. */
export const H200: CudaMachine = {
  driver: { version: '580.95.05', cuda: '13.0', problem: null },
  devices: [
    {
      name: 'NVIDIA H200',
      uuid: 'GPU-1',
      computeCapability: '9.0',
      memoryBytes: 150e9,
      freeBytes: 149e9,
      isMig: false,
      peers: [],
      problem: null,
    },
  ],
  cublasLt: { path: '/lt.so', version: '13.0.2', problem: null },
  architectures: ['90a'],
};

/** The package with a libexecutor_cuda.so that has the table of the scripted executor, and this to say of the machine. */
export async function packageOn(machine: CudaMachine | { does: string }): ReturnType<typeof packageWith> {
  const library = join(await temporaryDirectory(), 'libexecutor_cuda.so');
  const body = 'does' in machine ? machine.does : `return R"(${JSON.stringify(machine)})";`;
  const source = `#include <cstdlib>\n#include <unistd.h>\nextern "C" const char* executor_machine() { ${body} }`;
  compileLibrary(library, source, SCRIPTED_LIBRARY, `-Wl,-rpath,${dirname(SCRIPTED_LIBRARY)}`);
  return packageWith({ 'libexecutor_cuda.so': library });
}
