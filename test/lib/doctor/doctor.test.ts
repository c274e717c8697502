import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import type { Diagnosis, Finding } from 'node-tensorrt-llm';
import { tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { directoryOf, type Files, useEnvironment, wheelFiles } from '../../tools/fake-tensorrt-llm.js';
import { packageWith } from '../../tools/package-copy.js';

// What this machine has built beside the addon plays no part.
const { doctor, dir } = await packageWith();

const script = (...lines: string[]): string => ['#!/bin/sh', ...lines, ''].join('\n');
/** An nvidia-smi that tells these rows. */
const nvidiaSmi = (...rows: string[]): string =>
  script(
    'case "$1" in --query-gpu=*)',
    ...rows.map((row) => `echo '${row}'`),
    ';; *) echo "| NVIDIA-SMI 570.86.15   Driver Version: 570.86.15   CUDA Version: 12.8 |" ;; esac',
  );
const H100 = '0, NVIDIA H100 80GB HBM3, 9.0, 81559, 80000, 570.86.15';
const T4 = '1, Tesla T4, 7.5, 15360, 15000, 570.86.15';

/** The environment of a machine that has these programs, and besides them what doctor asks the system with. */
async function usePrograms(programs: Files, variables: Readonly<Record<string, string>> = {}): Promise<void> {
  const files = Object.entries(programs).map(([name, content]) => [`bin/${name}`, content] as const);
  const asks = ['ldd', 'getconf'].map((name) => [`bin/${name}`, script(`exec /usr/bin/${name} "$@"`)] as const);
  useEnvironment({ PATH: join(await directoryOf(Object.fromEntries([...asks, ...files])), 'bin'), ...variables });
}

beforeEach(() => useEnvironment({}));

function finding({ findings }: Diagnosis, name: string): Finding {
  const found = findings.find((each) => each.name === name);
  assert.ok(found, `${name} is not among ${findings.map((each) => each.name).join(', ')}`);
  return found;
}
const stateOf = (diagnosis: Diagnosis, name: string): string => finding(diagnosis, name).state;

test('a machine with nothing but this package is well for the default executor, and is told what the others need', async () => {
  await usePrograms({});
  const diagnosis = await doctor();
  assert.equal(diagnosis.ok, true);
  for (const name of ['platform', 'glibc', 'Node.js', 'addon', "executor 'cpu'"]) {
    assert.equal(stateOf(diagnosis, name), 'ok', name);
  }
  for (const name of ["executor 'cuda'", 'GPU', 'TensorRT-LLM', 'mpirun', 'build tools']) {
    const { state, found, fix } = finding(diagnosis, name);
    assert.equal(state, 'missing', name);
    assert.ok(fix ?? /apt-get|pip install/.test(found), `${name} has no fix`);
  }
});

test('GPUs and their driver are told as nvidia-smi does, and one that this TensorRT-LLM does not run on is wrong', async () => {
  const wheel = join(await directoryOf(wheelFiles('1.2.1')), 'tensorrt_llm');
  await usePrograms({ 'nvidia-smi': nvidiaSmi(H100, T4) }, { TENSORRT_LLM_ROOT: wheel });
  const diagnosis = await doctor();
  assert.match(finding(diagnosis, 'driver').found, /^570\.86\.15, runs CUDA up to 12\.8$/);
  const hopper = finding(diagnosis, 'GPU 0');
  assert.equal(hopper.state, 'ok');
  assert.match(hopper.found, /H100.*Hopper.*9\.0.*80000 of 81559 MB/);
  const turing = finding(diagnosis, 'GPU 1');
  assert.equal(turing.state, 'wrong');
  assert.match(turing.fix ?? '', /the last TensorRT-LLM for Turing is 0\.14/);
});

test('a driver that does not answer is told in its own words', async () => {
  await usePrograms({ 'nvidia-smi': script('echo "has failed because it could not communicate"', 'exit 9') });
  const { state, found } = finding(await doctor(), 'GPU');
  assert.equal(state, 'missing');
  assert.match(found, /could not communicate/);
});

test('TensorRT-LLM is told with its parts, and each part that is not there with its fix', async () => {
  const packages = await directoryOf({ ...wheelFiles('1.2.1'), 'cuda/include/cuda_fp16.h': '' });
  await usePrograms({}, { TENSORRT_LLM_ROOT: join(packages, 'tensorrt_llm'), CUDA_HOME: join(packages, 'cuda') });
  const whole = await doctor();
  assert.match(finding(whole, 'TensorRT-LLM').found, /^1\.2\.1 in .* found by TENSORRT_LLM_ROOT$/);
  for (const name of ['headers', 'plugins', 'executorWorker', 'CUDA headers'])
    assert.equal(stateOf(whole, name), 'ok', name);

  const bare = await directoryOf({ 'libs/libtensorrt_llm.so': '' });
  await usePrograms({}, { TENSORRT_LLM_ROOT: bare });
  const lacking = await doctor();
  for (const name of ['headers', 'plugins', 'executorWorker']) assert.equal(stateOf(lacking, name), 'missing', name);
  assert.equal(lacking.ok, true, 'the default executor needs none of it');
});

test('an MPI other than Open MPI, and an Open MPI without its daemon, are wrong', async () => {
  await usePrograms({ mpirun: script('echo "HYDRA build details:"', 'echo "    Version:   4.0.2"') });
  const mpich = finding(await doctor(), 'mpirun');
  assert.equal(mpich.state, 'wrong');
  assert.match(mpich.found, /^HYDRA build details: Version: +4\.0\.2; .*Open MPI/);
  await usePrograms({ mpirun: script('echo "mpirun (Open MPI) 4.1.4"') });
  assert.match(finding(await doctor(), 'mpirun').found, /without its daemon/);
  await usePrograms({ mpirun: script('echo "mpirun (Open MPI) 4.1.4"'), orted: script('') });
  assert.equal(stateOf(await doctor(), 'mpirun'), 'ok');
});

test('a checkpoint is an engine that the CPU runs; what is no engine is wrong', async () => {
  await usePrograms({});
  const well = await doctor({ engine: await tinyEngine() });
  assert.equal(well.ok, true);
  assert.match(finding(well, 'engine').found, /'cpu' runs/);
  const none = await doctor({ engine: await directoryOf({}) });
  assert.equal(none.ok, false);
  assert.equal(stateOf(none, 'engine'), 'wrong');
});

test('an option nobody knows, or an engine that is no path, is refused', async () => {
  await assert.rejects(doctor({ engin: '.' } as object), failsWith('ERR_INVALID_OPTION', 'engin'));
  await assert.rejects(doctor({ engine: 3 } as object), failsWith('ERR_INVALID_OPTION', 'engine is 3'));
});

const main = join(dir, 'dist/cli/main.js');

test('the command prints a line for each finding, and its fix below', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'doctor']);
  assert.match(stdout, /^ok {6} Node\.js +\d/m);
  assert.match(stdout, /^missing {2}executor 'cuda' .*\n +-> reinstall .* executor: 'cpu'/m);
});

test('the command prints one object with --json, and ends with status 1 where the engine does not fit', async () => {
  const args = [main, 'doctor', '--json', '--engine', await directoryOf({})];
  const { code, stdout, stderr } = await promisify(execFile)(process.execPath, args).then(
    () => assert.fail('it ended with status 0'),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
  assert.deepEqual([code, stderr], [1, '']);
  const diagnosis = JSON.parse(stdout);
  assert.equal(diagnosis.type, 'diagnosis');
  assert.equal(diagnosis.ok, false);
  assert.equal(finding(diagnosis, 'engine').state, 'wrong');
});
