import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { convert } from '#lib/engine/convert/convert.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import type { CudaDevice, CudaMachine } from '#lib/machine/cuda.js';
import { H200, packageOn } from '../../tools/cuda-machine.js';
import { SCRIPTED_LIBRARY, scriptedEngine, temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { hostsOf } from '../../tools/hosts.js';
import { packageWith } from '../../tools/package-copy.js';
import { recordingLogger } from '../../tools/recording-logger.js';
import { TINY_LLAMAS, writeTinyLlama } from '../../tools/tiny-llama.js';

const OLD_DRIVER: CudaMachine = { ...H200, devices: [], driver: { ...H200.driver, problem: 'the driver is old' } };
const NO_DRIVER: CudaMachine = { ...OLD_DRIVER, driver: { version: null, cuda: null, problem: 'there is no driver' } };
const NO_CUBLASLT: CudaMachine = { ...H200, cublasLt: { path: null, version: null, problem: 'no cuBLASLt' } };

type Package = Awaited<ReturnType<typeof packageWith>>;

/** What 'auto' takes for a checkpoint, why, and the line that says so. */
async function taken({ LLM }: Package, engine?: string) {
  const { logger, lines } = recordingLogger();
  const llm = await LLM.load(engine ?? (await scriptedEngine({})), { logger });
  await llm.close();
  const line = lines.find((each) => each.includes("executor: 'auto'"));
  return { executor: llm.info.executor, reason: llm.info.executorReason, line };
}

describe("executor: 'auto' with a checkpoint", () => {
  test('takes the GPU if it is usable, and says which', async () => {
    const reason = 'GPU 0 is NVIDIA H200 (compute capability 9.0)';
    const line = `info: executor: 'auto' takes 'cuda': ${reason}`;
    assert.deepEqual(await taken(await packageOn(H200)), { executor: 'scripted', reason, line });
  });

  test('takes the CPU where there is no library for the GPU, and names it', async () => {
    const { executor, reason, line } = await taken(await packageWith());
    assert.equal(executor, 'cpu');
    assert.match(reason ?? '', /libexecutor_cuda\.so does not exist$/);
    assert.match(line ?? '', /^info: executor: 'auto' takes 'cpu': /);
  });

  const UNUSABLE = [
    { what: 'there is no driver', machine: NO_DRIVER, reason: /^there is no driver$/, level: 'info' },
    { what: 'the driver is too old', machine: OLD_DRIVER, reason: /^the driver is old$/, level: 'warn' },
    { what: 'cuBLASLt is missing', machine: NO_CUBLASLT, reason: /^no cuBLASLt$/, level: 'warn' },
    { what: 'the driver crashes', machine: { does: 'abort();' }, reason: /ended by SIGABRT/, level: 'warn' },
    {
      what: 'the driver prints no answer',
      machine: { does: 'return "?";' },
      reason: /with status 0: \?/,
      level: 'warn',
    },
  ];
  for (const { what, machine, reason, level } of UNUSABLE) {
    test(`takes the CPU where ${what}, and says so on the level ${level}`, async () => {
      const found = await taken(await packageOn(machine));
      assert.equal(found.executor, 'cpu');
      assert.match(found.reason ?? '', reason);
      assert.equal(found.line, `${level}: executor: 'auto' takes 'cpu': ${found.reason}`);
    });
  }

  test('takes the CPU for a model that the CUDA executor does not compute, and says what of it', async () => {
    const dir = await temporaryDirectory();
    await writeTinyLlama(join(dir, 'source'), TINY_LLAMAS['dynamic-rope']);
    const engine = await convert(join(dir, 'source'), join(dir, 'engine'));
    const { manifest } = await openEngine(engine);
    assert.deepEqual(manifest?.executors, ['cpu']);
    const { executor, line } = await taken(await packageOn(H200), engine);
    assert.equal(executor, 'cpu');
    assert.match(line ?? '', /^warn: .*does not compute dynamic frequencies \(rotary_scaling\)/);
  });

  test('takes the CPU where the library is of another version, which cannot be asked', async () => {
    const { executor, reason } = await taken(await packageWith({ 'libexecutor_cuda.so': SCRIPTED_LIBRARY }));
    assert.equal(executor, 'cpu');
    assert.match(reason ?? '', /exports no executor_machine/);
  });

  test('does not fall back to the CPU where a usable GPU fails to load the model', async () => {
    const { LLM } = await packageOn(H200);
    const dir = await scriptedEngine({ throw_in: 'create' });
    await assert.rejects(LLM.load(dir), failsWith('ERR_INTERNAL', 'scripted throw in create'));
  });

  test('does not fall back to the CPU where parallel.deviceIds names a GPU', async () => {
    const { LLM } = await packageWith();
    const loading = LLM.load(await tinyEngine(), { parallel: { deviceIds: [0] } });
    await assert.rejects(loading, failsWith('ERR_EXECUTOR_UNAVAILABLE', 'libexecutor_cuda.so'));
  });

  test('gives up at once when the load is aborted while a driver hangs', async () => {
    const { LLM } = await packageOn({ does: 'for (;;) pause();' });
    const controller = new AbortController();
    const loading = LLM.load(await tinyEngine(), { signal: controller.signal });
    while (hostsOf(process.pid).length === 0) await setTimeout(5);
    controller.abort(new Error('enough'));
    await assert.rejects(loading, { message: 'enough' });
  });

  test('tells an attached LLM the same reason', async () => {
    const { LLM } = await packageOn(H200);
    const llm = await LLM.load(await scriptedEngine({}));
    const attached = LLM.attach(structuredClone(llm.handle));
    assert.equal(attached.info.executorReason, llm.info.executorReason);
    await Promise.all([llm.close(), attached.close()]);
  });
});

test('an executor that is named has no reason', async () => {
  const { LLM } = await packageOn(OLD_DRIVER);
  for (const executor of ['cpu', 'cuda'] as const) {
    const llm = await LLM.load(await scriptedEngine({}), { executor });
    assert.equal(llm.info.executorReason, undefined);
    assert.equal(
      llm.info.executor,
      executor === 'cuda' ? 'scripted' : 'cpu',
      'a problem that was found is no fall-back',
    );
    await llm.close();
  }
});

describe('doctor() with a library for the GPU', () => {
  const found = async (machine: CudaMachine) => {
    const { doctor } = await packageOn(machine);
    const { ok, findings } = await doctor({ engine: await tinyEngine() });
    return { ok, of: (name: string) => findings.find((finding) => finding.name === name) };
  };

  test("says what 'auto' takes, the GPU with its memory, the driver and cuBLASLt", async () => {
    const { ok, of } = await found(H200);
    assert.equal(ok, true);
    assert.match(of("executor 'auto'")?.found ?? '', /^takes 'cuda' for a checkpoint: GPU 0 is NVIDIA H200/);
    assert.match(of("executor 'cuda'")?.found ?? '', /libexecutor_cuda\.so, with code for 90a; the driver 580\.95\.05/);
    const gpu = 'NVIDIA H200, GPU-1, compute capability 9.0, 149.0 of 150.0 GB free';
    assert.deepEqual(of('CUDA device 0'), { name: 'CUDA device 0', state: 'ok', found: gpu });
    assert.equal(of('cuBLASLt')?.found, '13.0.2 in /lt.so');
    assert.match(of('engine')?.found ?? '', /is a checkpoint, which executor 'cuda' runs$/);
  });

  test('says of a part of a GPU and of one that cannot be used what they are', async () => {
    const [device] = H200.devices;
    assert.ok(device);
    const mig = { ...device, isMig: true, uuid: 'MIG-1', freeBytes: null };
    const { of } = await found({ ...H200, devices: [mig, { ...device, problem: 'It is too old.' }] });
    const part = 'NVIDIA H200, a part of a GPU (MIG), MIG-1, compute capability 9.0, 150.0 GB';
    assert.deepEqual(of('CUDA device 0'), { name: 'CUDA device 0', state: 'ok', found: part });
    assert.match(of('CUDA device 1')?.found ?? '', /free\. It is too old\.$/);
    assert.equal(of('CUDA device 1')?.state, 'wrong');
    assert.equal(of("executor 'cuda'")?.state, 'ok');
  });

  test('says whether the GPUs read the memory of each other, and over what; nothing of one alone', async () => {
    const [device] = H200.devices;
    assert.ok(device);
    const accessOf = async (...peers: CudaDevice['peers'][]) => {
      const devices = peers.map((each) => ({ ...device, peers: each }));
      return (await found({ ...H200, devices })).of('GPU peer access');
    };
    const to = (device: number, nvlink: boolean | null) => ({ device, nvlink });
    assert.equal(await accessOf([]), undefined);
    const each = 'each of 2 GPUs reads the memory of the others';
    assert.equal((await accessOf([to(1, true)], [to(0, true)]))?.found, `${each}, over NVLink`);
    assert.equal((await accessOf([to(1, true)], [to(0, false)]))?.found, `${each}, over NVLink or PCIe`);
    assert.equal((await accessOf([to(1, null)], [to(0, null)]))?.found, each);
    const lacking = await accessOf([to(1, false)], []);
    assert.deepEqual([lacking?.state, lacking?.found], ['wrong', 'CUDA device 1 cannot read the memory of 0']);
    assert.match(lacking?.fix ?? '', /parallel\.deviceIds/);
  });

  test("says why the GPU cannot be used, and that 'auto' works all the same", async () => {
    const { ok, of } = await found(NO_CUBLASLT);
    assert.equal(ok, true);
    assert.equal(of("executor 'auto'")?.found, "takes 'cpu' for a checkpoint: no cuBLASLt");
    for (const name of ["executor 'cuda'", 'cuBLASLt']) assert.equal(of(name)?.found, 'no cuBLASLt', name);
    assert.equal(of("executor 'cuda'")?.state, 'wrong');
    assert.equal((await found(NO_DRIVER)).of("executor 'cuda'")?.state, 'missing');
  });
});
