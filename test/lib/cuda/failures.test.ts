// Machines that the CUDA executor cannot run on: its library over stand-ins for NVIDIA's driver and cuBLASLt.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, beforeEach, describe, test } from 'node:test';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { hostProgram } from '#lib/addon/addon.js';
import { convert } from '#lib/engine/convert/convert.js';
import { libraryPath } from '#lib/executors.js';
import { askCuda, type CudaDevice } from '#lib/machine/cuda.js';
import { temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { failsAbout, failsWith } from '../../tools/fails-with.js';
import { compileLibrary, useEnvironment } from '../../tools/fake-tensorrt-llm.js';
import { PROJECT_ROOT } from '../../tools/project.js';
import { recordingLogger } from '../../tools/recording-logger.js';
import { TINY_LLAMAS, writeTinyLlama } from '../../tools/tiny-llama.js';

const LIBRARY = libraryPath('cuda');
const skip = existsSync(LIBRARY) ? false : 'the CUDA executor is not built: npm run build:cuda';

const LT_FUNCTIONS = [
  'GetStatusString Create Destroy MatmulDescCreate MatmulDescDestroy MatmulDescSetAttribute MatrixLayoutCreate',
  'MatrixLayoutDestroy MatmulPreferenceCreate MatmulPreferenceDestroy MatmulPreferenceSetAttribute',
  'MatmulAlgoGetHeuristic MatmulAlgoCheck Matmul',
];

let driver: string;
/** cuBLASLt of version 13.0.2, of 11.11.3, and without most of its functions. */
let cublasLt: { newest: string; old: string; damaged: string };
/** The compute capability and name of a GPU that the library has code for. */
let gpu: string;

before(async () => {
  if (skip) return;
  const dir = await temporaryDirectory();
  driver = dir;
  const source = await readFile(join(PROJECT_ROOT, 'test/stand-in/library/cuda_driver.cc'), 'utf8');
  compileLibrary(join(dir, 'libcuda.so.1'), source, '-Wl,-soname,libcuda.so.1');
  const names = LT_FUNCTIONS.join(' ').split(' ');
  const functions = names.map((name) => `extern "C" void* cublasLt${name}() { return nullptr; }`).join('\n');
  const library = (name: string, version: number, rest: string): string => {
    const path = join(dir, name);
    compileLibrary(path, `extern "C" unsigned long cublasLtGetVersion() { return ${version}; }\n${rest}`);
    return path;
  };
  cublasLt = {
    newest: library('newest.so', 130002, functions),
    old: library('old.so', 111103, functions),
    damaged: library('damaged.so', 130002, ''),
  };
  useMachine({});
  const { architectures } = await askCuda(hostProgram(), LIBRARY);
  const [, major, minor] = /^(\d+)(\d)/.exec(architectures[0] ?? '') ?? [];
  gpu = `${major}.${minor} Stand-in GPU`;
});

/** The environment of a machine with the stand-ins, whose variables cuda_driver.cc has; the best of machines by default. */
function useMachine(variables: Readonly<Record<string, string>>): void {
  useEnvironment({
    LD_LIBRARY_PATH: driver,
    NODE_TENSORRT_LLM_CUBLASLT: cublasLt.newest,
    STAND_IN_GPUS: gpu,
    ...variables,
  });
}

beforeEach(() => useEnvironment({}));

/** Isolated: the stand-ins must not stay in this process. Their host gets the variables that cuda_driver.cc reads. */
const load = async (options: LoadOptions = {}): Promise<LLM> => loadEngine(await tinyEngine(), options);
const loadEngine = (engine: string, options: LoadOptions = {}): Promise<LLM> =>
  LLM.load(engine, {
    executor: 'cuda',
    isolation: 'process',
    isolationEnv: Object.keys(process.env).filter((name) => name.startsWith('STAND_IN_')),
    ...options,
  });

describe("executor: 'cuda'", { skip }, () => {
  const MACHINES: {
    what: string;
    variables: () => Promise<Record<string, string>> | Record<string, string>;
    says: string[];
  }[] = [
    {
      what: 'no driver that can be opened',
      variables: async () => {
        const dir = await temporaryDirectory();
        await writeFile(join(dir, 'libcuda.so.1'), 'this is no library, whatever else the machine has');
        return { LD_LIBRARY_PATH: dir };
      },
      says: ['driver library could not be opened', "Install NVIDIA's driver 580 or newer"],
    },
    {
      what: 'a driver that is too old',
      variables: () => ({ STAND_IN_CUDA_VERSION: '12040' }),
      says: ['runs CUDA up to 12.4; expected 13.0 or newer', 'Install'],
    },
    { what: 'no GPU', variables: () => ({ STAND_IN_GPUS: '' }), says: ['finds no GPU', 'CUDA_VISIBLE_DEVICES'] },
    {
      what: 'a driver that finds no GPU when it starts',
      variables: () => ({ STAND_IN_CUDA_ERROR: '100' }),
      says: ['finds no GPU'],
    },
    {
      what: 'a driver that was updated and not restarted',
      variables: () => ({ STAND_IN_CUDA_ERROR: '803' }),
      says: ['different versions', 'Restart the machine'],
    },
    {
      what: 'a driver that fails',
      variables: () => ({ STAND_IN_CUDA_ERROR: '999' }),
      says: ['cuInit: CUDA_ERROR_STAND_IN', 'nvidia-smi'],
    },
    {
      what: 'a GPU that is too old',
      variables: () => ({ STAND_IN_GPUS: '7.0 Tesla V100' }),
      says: ['Tesla V100', 'compute capability 7.0; expected 7.5 or newer', "executor: 'cpu'"],
    },
    {
      what: 'no cuBLASLt',
      variables: () => ({ NODE_TENSORRT_LLM_CUBLASLT: '/no/such/lt.so' }),
      says: ['/no/such/lt.so', 'python3 -m pip install nvidia-cublas'],
    },
    {
      what: 'a cuBLASLt that is too old',
      variables: () => ({ NODE_TENSORRT_LLM_CUBLASLT: cublasLt.old }),
      says: ['old.so is cuBLASLt 11.11.3; expected 12.0.0 or newer', 'pip install nvidia-cublas'],
    },
    {
      what: 'a cuBLASLt that lacks functions',
      variables: () => ({ NODE_TENSORRT_LLM_CUBLASLT: cublasLt.damaged }),
      says: ['damaged.so lacks cublasLtGetStatusString', 'pip install nvidia-cublas'],
    },
  ];
  for (const { what, variables, says } of MACHINES) {
    test(`is unavailable on a machine with ${what}, and 'auto' takes the CPU for the same reason`, async () => {
      useMachine(await variables());
      await assert.rejects(load(), failsWith('ERR_EXECUTOR_UNAVAILABLE', ...says));
      const { logger, lines } = recordingLogger();
      const llm = await load({ executor: 'auto', logger });
      await llm.close();
      assert.equal(llm.info.executor, 'cpu');
      for (const words of says) {
        assert.ok(llm.info.executorReason?.includes(words), llm.info.executorReason);
        assert.ok(lines.some((line) => line.includes(words)));
      }
    });
  }

  test('whose driver crashes takes the host down alone', async () => {
    useMachine({ STAND_IN_CUDA_ERROR: 'abort' });
    await assert.rejects(load(), failsWith('ERR_EXECUTOR_FAILED', 'SIGABRT'));
    const llm = await load({ executor: 'auto' });
    await llm.close();
    assert.match(llm.info.executorReason ?? '', /ended by SIGABRT/);
  });

  test('names the GPUs there are where parallel.deviceIds names another', async () => {
    useMachine({ STAND_IN_GPUS: `${gpu}, 7.5 Tesla T4` });
    await assert.rejects(
      load({ parallel: { deviceIds: [2] } }),
      failsAbout('parallel.deviceIds', 'ERR_INVALID_OPTION', 'has 2; expected one of 0 (Stand-in GPU), 1 (Tesla T4)'),
    );
  });

  test('takes one GPU, not two and not one twice', async () => {
    useMachine({ STAND_IN_GPUS: `${gpu}, ${gpu}` });
    for (const deviceIds of [
      [0, 1],
      [0, 0],
    ]) {
      await assert.rejects(
        load({ parallel: { deviceIds } }),
        failsAbout('parallel.deviceIds', 'ERR_INVALID_OPTION', 'has 2 ids; expected 1'),
      );
    }
    await assert.rejects(
      load({ parallel: { deviceIds: [-1] } }),
      failsWith('ERR_INVALID_OPTION', 'deviceIds[0] is -1'),
    );
  });

  test('takes one GPU for each rank of an engine', async () => {
    useMachine({});
    const dir = await temporaryDirectory();
    await writeTinyLlama(join(dir, 'source'), TINY_LLAMAS.gqa);
    const split = await convert(join(dir, 'source'), join(dir, 'split'), { tpSize: 2 });
    const staged = await convert(join(dir, 'source'), join(dir, 'staged'), { ppSize: 2 });
    const expected = "CUDA shows this process 1 GPU; expected one for each of the engine's 2 ranks";
    for (const engine of [split, staged]) {
      await assert.rejects(loadEngine(engine), failsWith('ERR_ENGINE_RANKS', expected));
    }
    await assert.rejects(
      loadEngine(split, { parallel: { deviceIds: [0] } }),
      failsAbout('parallel.deviceIds', 'ERR_INVALID_OPTION', 'has 1 id; expected 2'),
    );
  });

  test('looks at the GPU that parallel.deviceIds names', async () => {
    useMachine({ STAND_IN_GPUS: `${gpu}, 7.0 Tesla V100` });
    await assert.rejects(load({ parallel: { deviceIds: [1] } }), failsWith('ERR_EXECUTOR_UNAVAILABLE', 'Tesla V100'));
  });
});

describe('what the library finds on a machine', { skip }, () => {
  test('is each GPU in the order of CUDA, and that one is a part of another', async () => {
    useMachine({ STAND_IN_GPUS: `${gpu} MIG 1g.18gb, 7.0 Tesla V100` });
    const { driver, devices, cublasLt } = await askCuda(hostProgram(), LIBRARY);
    assert.deepEqual([driver.cuda, driver.problem, cublasLt.version], ['13.0', null, '13.0.2']);
    assert.deepEqual(
      devices.map(({ name, uuid, isMig, memoryBytes }) => ({ name, uuid, isMig, memoryBytes })),
      [
        { name: 'Stand-in GPU MIG 1g.18gb', uuid: `MIG-${UUID(0)}`, isMig: true, memoryBytes: 80e9 },
        { name: 'Tesla V100', uuid: `GPU-${UUID(1)}`, isMig: false, memoryBytes: 80e9 },
      ],
    );
    assert.equal(devices[0]?.problem, null);
    assert.match(devices[1]?.problem ?? '', /expected 7\.5 or newer/);
  });

  test('is whose memory each GPU can read', async () => {
    useMachine({ STAND_IN_GPUS: `${gpu}, ${gpu}, ${gpu}`, STAND_IN_NO_PEER_ACCESS: '2 0' });
    const { devices } = await askCuda(hostProgram(), LIBRARY);
    const peersOf = ({ peers }: CudaDevice): number[] => peers.map(({ device }) => device);
    assert.deepEqual(devices.map(peersOf), [[1, 2], [0, 2], [1]]);
  });
});

const UUID = (id: number): string => [4, 2, 2, 2, 6].map((bytes) => `0${id}`.repeat(bytes)).join('-');
