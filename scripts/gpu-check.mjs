// Every check of the CUDA executor on a machine with an NVIDIA GPU, one step after the other; it needs no network:
//   node scripts/gpu-check.mjs [--only STEP,...] [--skip STEP,...] [--model PATH] [--work DIR] [--json FILE] [--list]
// --model is SmolLM2-135M-Instruct: a .gguf file, a Hugging Face directory or an engine directory. --work keeps the models that are made
// for a next run. Steps that need PyTorch and transformers take python3's. It runs in a checkout after `npm ci && npm run build:cuda
// -- --tests`, or in a copy of one with dist, dist-test, build/Release, build/cuda/bin, node_modules, scripts, bench and package.json.
// Ends with 1 if a step fails.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { architecturesIn, LIBRARY } from './cuda-library.mjs';
import { firstGpu } from './gpu.mjs';

const root = path.join(import.meta.dirname, '..');
const library = path.join(root, 'build', 'Release', LIBRARY);
const KEPT_OUTPUT = 20_000; // characters of a step's output that go into the JSON

// What compute-sanitizer runs. Small tests: racecheck makes a kernel a hundred times slower and more.
const SANITIZERS = {
  memcheck: [
    '*/Elementwise.*',
    '*/SamplingTest.*/257',
    '*/LogitsProcessorsTest.*/1000',
    'DecodeAttentionGraph.*',
    '*/DecodeAttentionTest.Equals*/*_2x4_dim64_*',
    '*/Exchange.*/2_ranks_*',
    'PrefillDefinition.*',
    '*/ModelShapes.*/fp16_dim64',
    '*/ModelShapes.*/bf16_dim128',
    'ModelRunner.SequencesThatWerePutOff*',
    'ModelRunner.SeveralSequences*',
    'ModelRunner.ACancel*',
  ],
  racecheck: [
    '*/Elementwise.*',
    '*/SamplingTest.*/257',
    'DecodeAttentionGraph.*',
    '*/Exchange.*/2_ranks_*',
    'PrefillDefinition.*',
  ],
  // Only kernels of ours: cuBLASLt's write through the tensor memory accelerator, which initcheck was seen not to count as a write, so
  // whatever reads a matrix product is reported. And only tests that hold no memory against a pattern: there it starts unwritten.
  initcheck: [
    '*/SamplingTest.EqualLogits*/257',
    '*/LogitsProcessorsTest.*/1000',
    '*/DecodeAttentionTest.Equals*/*_2x4_dim64_*',
  ],
};

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    skip: { type: 'string', default: '' },
    model: { type: 'string' },
    work: { type: 'string' },
    json: { type: 'string' },
    list: { type: 'boolean', default: false },
    // The program of the C++ tests.
    tests: { type: 'string', default: path.join(root, 'build', 'cuda', 'bin', 'embedded_cuda_test') },
  },
});

class Failed extends Error {}
class Skipped extends Error {}

const steps = {
  library: { title: 'the library is built for this GPU', run: takeLibrary },
  native: { title: 'C++ tests', run: runNativeTests },
  logits: { title: 'logits and greedy tokens against transformers', run: compareLogits },
  answer: { title: "SmolLM2's answer against the CPU's", run: compareAnswer },
  conformance: {
    title: 'conformance suite, in process, isolated and over a KV cache in 8 bits',
    run: () =>
      node(
        600,
        'scripts/conformance.mjs',
        ...['cuda', 'cuda-isolated', 'cuda-int8-kv'].flatMap((executor) => ['--executor', executor]),
      ),
  },
  engines: {
    title: 'several engines and processes on the GPU, and a GPU that is lost',
    run: () => node(300, 'scripts/test-js.mjs', 'gpu/'),
  },
  soak: {
    title: '20,000 requests of mixed kinds',
    run: () => node(600, 'scripts/gpu-soak.mjs', '20000'),
  },
  ranks: { title: 'two ranks on a GPU each: conformance suite, 5,000 requests', run: checkRanks },
  memcheck: { title: "compute-sanitizer's memcheck", run: () => sanitize('memcheck') },
  racecheck: { title: "compute-sanitizer's racecheck", run: () => sanitize('racecheck') },
  initcheck: { title: "compute-sanitizer's initcheck", run: () => sanitize('initcheck') },
  bench: { title: "decode and prefill of 8B's shape", run: () => node(300, 'bench/gpu.mjs') },
  'bench-70b': { title: "one request on 70B's shape", run: () => node(300, 'bench/gpu.mjs', '--shape', '70b') },
  gaps: { title: 'the time on the GPU between two decode steps', run: () => node(120, 'bench/gpu-gaps.mjs') },
  ping: { title: '/ping beside 64 streams', run: () => node(180, 'bench/gpu-ping.mjs') },
};

const listed = (names) => names?.split(',').filter((name) => name !== '');
for (const name of [...(listed(values.only) ?? []), ...listed(values.skip)]) {
  if (name in steps) continue;
  console.error(`There is no step ${name}; expected ${Object.keys(steps).join(', ')}.`);
  process.exit(2);
}
if (values.list) {
  for (const [name, { title }] of Object.entries(steps)) console.log(`${name.padEnd(12)} ${title}`);
  process.exit(0);
}
const gpu = firstGpu();
if (gpu === undefined) {
  console.error('nvidia-smi shows no GPU; expected a machine with an NVIDIA GPU and its driver.');
  process.exit(2);
}
const work = values.work ?? mkdtempSync(path.join(tmpdir(), 'gpu-check-'));
mkdirSync(work, { recursive: true });

let output = ''; // of the step that runs
let running; // its process
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.once(signal, () => {
    if (running) endGroup(running);
    process.exit(code);
  });
}
const results = [];
for (const [name, { title, run }] of Object.entries(steps)) {
  if (listed(values.only)?.includes(name) === false || listed(values.skip).includes(name)) continue;
  console.log(`\n== ${name}: ${title}`);
  const start = performance.now();
  output = '';
  let [outcome, reason] = ['PASS', undefined];
  try {
    await run();
  } catch (error) {
    [outcome, reason] = [error instanceof Skipped ? 'SKIPPED' : 'FAIL', error.message];
    if (!(error instanceof Skipped || error instanceof Failed)) reason = error.stack;
  }
  const seconds = Number(((performance.now() - start) / 1000).toFixed(1));
  console.log(`== ${name}: ${outcome} in ${seconds} s${reason === undefined ? '' : `: ${reason}`}`);
  results.push({ name, outcome, seconds, reason, output: output.slice(-KEPT_OUTPUT) });
  if (values.json) {
    // After each step, so that what is known is kept if the machine goes away.
    const machine = { gpu, cpus: cpus().length, node: process.version };
    writeFileSync(
      values.json,
      `${JSON.stringify({ date: new Date().toISOString(), machine, steps: results }, null, 2)}\n`,
    );
  }
}
if (values.work === undefined) rmSync(work, { recursive: true, force: true });

console.log(`\n${gpu.name}, driver ${gpu.driver}`);
for (const { name, outcome, seconds, reason = '' } of results)
  console.log(`${outcome.padEnd(8)} ${name.padEnd(12)} ${String(seconds).padStart(7)} s  ${reason.split('\n')[0]}`);
process.exitCode = results.some(({ outcome }) => outcome === 'FAIL') ? 1 : 0;

/** Ends the process with all that it started. */
function endGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Runs a program, its output shown and kept. Throws Failed unless it ends with 0 within `seconds`. */
async function run(seconds, program, args, env = {}) {
  const child = spawn(program, args, {
    cwd: root,
    detached: true, // so that its own children can be ended with it
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running = child;
  const ended = once(child, 'close');
  for (const [stream, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      to.write(text);
    });
  }
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    endGroup(child);
  }, seconds * 1000);
  const [code, signal] = await ended
    .catch((error) => {
      throw new Failed(`${program} could not be run: ${error.message}`);
    })
    .finally(() => {
      clearTimeout(timer);
      running = undefined;
    });
  if (isLate) {
    const [last] = output.match(/\[ RUN {6}\] .+/g)?.slice(-1) ?? [];
    throw new Failed(`it did not end within ${seconds} s${last ? `; last seen: ${last}` : ''}`);
  }
  if (code !== 0) throw new Failed(`${path.basename(program)} ended with ${signal ?? code}`);
}

async function node(seconds, script, ...args) {
  await run(seconds, process.execPath, [path.join(root, script), ...args]);
}

/** SmolLM2's engine directory; undefined without --model. */
async function smolEngine() {
  if (values.model === undefined) return undefined;
  if (existsSync(path.join(values.model, 'rank0.safetensors'))) return values.model;
  const dir = path.join(work, 'smollm2');
  if (!existsSync(dir)) await node(120, 'dist/cli/main.js', 'convert', values.model, dir);
  return dir;
}

async function takeLibrary() {
  if (!existsSync(library) || !existsSync(values.tests)) {
    await node(3600, 'scripts/build-cuda.mjs', '--arch', gpu.arch, '--tests');
  }
  const found = architecturesIn(library);
  console.log(`${library} holds ${found.join(', ')}; this GPU is sm_${gpu.capability}`);
  const runs = found.some((name) => {
    const [kind, number] = [name.split('_')[0], Number(name.split('_')[1])];
    const isSameMajor = Math.floor(number / 10) === Math.floor(gpu.capability / 10);
    return number <= gpu.capability && (kind === 'compute' || isSameMajor);
  });
  if (!runs) throw new Failed(`the library holds nothing for sm_${gpu.capability}; build it: npm run build:cuda`);
}

async function runNativeTests() {
  await run(600, values.tests, ['--gtest_brief=1']);
  if (output.includes('no NVIDIA GPU')) throw new Failed('the tests found no GPU');
}

async function checkRanks() {
  if (gpu.count < 2) throw new Skipped('one GPU; two are needed');
  await node(300, 'scripts/conformance.mjs', '--executor', 'cuda-two-ranks');
  await node(300, 'scripts/gpu-soak.mjs', '5000', '2');
}

async function compareLogits() {
  const dir = path.join(work, 'reference');
  const engine = await smolEngine();
  const script = path.join(root, 'scripts', 'gpu_reference.py');
  await run(300, 'python3', [script, dir, ...(engine === undefined ? [] : ['--engine', engine])]);
  await node(300, 'scripts/gpu-logits.mjs', dir);
}

async function compareAnswer() {
  const engine = await smolEngine();
  if (engine === undefined) throw new Skipped('--model names no SmolLM2-135M-Instruct');
  await node(120, 'scripts/gpu-answer.mjs', engine);
}

async function sanitize(tool) {
  const homes = [process.env.CUDA_HOME, '/usr/local/cuda'].filter(Boolean).map((home) => path.join(home, 'bin'));
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), ...homes];
  const program = folders.map((dir) => path.join(dir, 'compute-sanitizer')).find((file) => existsSync(file));
  if (program === undefined) throw new Skipped('compute-sanitizer is not on this machine');
  const tests = [values.tests, `--gtest_filter=${SANITIZERS[tool].join(':')}`];
  try {
    // What CUDA's functions return, the tests check themselves.
    const flags = ['--tool', tool, '--report-api-errors', 'no', '--error-exitcode', '9'];
    await run(300, program, [...flags, ...tests], {
      CUDA_TESTS_UNWRITTEN_MEMORY: tool === 'initcheck' ? '1' : '',
    });
  } catch (error) {
    if (output.includes('Device not supported')) throw new Skipped('compute-sanitizer does not support this machine');
    throw error;
  }
  if (!/\[ {2}PASSED {2}\] [1-9]/.test(output))
    throw new Failed('no test ran; see the filter in scripts/gpu-check.mjs');
}
