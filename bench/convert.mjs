// What converting a model costs beside copying its files on the same disk: time, memory, and turns of the event loop.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { convert } from 'node-tensorrt-llm';
import { ggufBytes } from '../dist-test/lib/engine/formats/gguf-bytes.js';
import { ggufMetadata } from '../dist-test/lib/engine/formats/tiny-gguf.js';
import { TINY_LLAMAS } from '../dist-test/tools/tiny-llama.js';
import { median, Report, round } from './report.mjs';

const { values: flags } = parseArgs({
  options: {
    gb: { type: 'string', default: '2' }, // of each source
    dir: { type: 'string', default: tmpdir() }, // on the disk to measure
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    child: { type: 'string' },
  },
});

if (flags.child) {
  await converting(JSON.parse(flags.child));
  process.exit();
}

/** In a process of its own, whose memory is that of the conversion; ends it when `stopAt` bytes are written. */
async function converting({ source, out, dtype, tpSize, stopAt = Number.POSITIVE_INFINITY }) {
  const turns = monitorEventLoopDelay({ resolution: 1 });
  const controller = new AbortController();
  const onProgress = ({ done }) => {
    if (done >= stopAt) controller.abort();
  };
  turns.enable();
  const start = performance.now();
  await convert(source, out, { dtype, tpSize, onProgress, signal: controller.signal }).catch((error) => {
    if (!controller.signal.aborted) throw error;
  });
  const seconds = (performance.now() - start) / 1000;
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  console.log(
    JSON.stringify({
      seconds,
      cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
      longestTurnMs: turns.max / 1e6,
      loopBusyMs: performance.eventLoopUtilization().active,
      peakMb: maxRSS / 1024,
    }),
  );
}

function measureConversion(work) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.url), '--child', JSON.stringify(work)],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const LLAMA_70B = { hidden: 8192, intermediate: 28672, layers: 80, heads: 64, vocab: 128256 };
const LLAMA_8B = { hidden: 4096, intermediate: 14336, layers: 32, heads: 32, vocab: 32000 };

/** The tensors of a Llama by GGUF's and by Hugging Face's names. */
function tensorsOf({ hidden, intermediate, layers, heads, vocab }) {
  const keys = (hidden / heads) * 8;
  const layer = (i) =>
    [
      ['attn_norm', 'input_layernorm', hidden],
      ['attn_q', 'self_attn.q_proj', hidden, hidden],
      ['attn_k', 'self_attn.k_proj', keys, hidden],
      ['attn_v', 'self_attn.v_proj', keys, hidden],
      ['attn_output', 'self_attn.o_proj', hidden, hidden],
      ['ffn_norm', 'post_attention_layernorm', hidden],
      ['ffn_gate', 'mlp.gate_proj', intermediate, hidden],
      ['ffn_up', 'mlp.up_proj', intermediate, hidden],
      ['ffn_down', 'mlp.down_proj', hidden, intermediate],
    ].map(([gguf, name, ...shape]) => ({
      gguf: `blk.${i}.${gguf}.weight`,
      name: `model.layers.${i}.${name}.weight`,
      shape,
    }));
  return [
    { gguf: 'token_embd.weight', name: 'model.embed_tokens.weight', shape: [vocab, hidden] },
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    { gguf: 'output_norm.weight', name: 'model.norm.weight', shape: [hidden] },
    { gguf: 'output.weight', name: 'lm_head.weight', shape: [vocab, hidden] },
  ];
}

const count = ({ shape }) => shape.reduce((product, size) => product * size, 1);
const GGML = {
  F32: { id: 0, values: 1, bytes: 4 },
  Q8_0: { id: 8, values: 32, bytes: 34 },
  Q4_K: { id: 12, values: 256, bytes: 144 },
};

/** As many layers of an 8B as make about so many GB. */
function shapeOf(gb, bytesPerValue) {
  const sizeOf = (layers) =>
    tensorsOf({ ...LLAMA_8B, layers }).reduce((sum, tensor) => sum + count(tensor), 0) * bytesPerValue;
  const rest = gb * 1e9 - sizeOf(0);
  return { ...LLAMA_8B, layers: Math.max(1, Math.round(rest / (sizeOf(1) - sizeOf(0)))) };
}

/** 32 MB that are valid in every type: random, with small exponents and scales. */
const NOISE = Buffer.alloc(1 << 25);
for (let i = 0, state = 1; i < NOISE.length; i += 4) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  NOISE.writeUInt32LE(((state & 0x83ff83ff) | 0x3c003c00) >>> 0, i);
}

function writeNoise(handle, bytes) {
  for (let left = bytes; left > 0; left -= NOISE.length) writeSync(handle, NOISE, 0, Math.min(left, NOISE.length));
}

/** A Hugging Face directory; `sparse` shards take no place on the disk, and are full of zeros. */
function writeHuggingFace(dir, shape, dtype, { sparse = false } = {}) {
  mkdirSync(dir);
  const bytesPerValue = dtype === 'F32' ? 4 : 2;
  const shards = [[]];
  let inShard = 0;
  for (const tensor of tensorsOf(shape)) {
    inShard += count(tensor) * bytesPerValue;
    shards.at(-1).push(tensor);
    if (inShard > (sparse ? 4.5e9 : 5e8)) {
      shards.push([]);
      inShard = 0;
    }
  }
  const map = {};
  for (const [i, tensors] of shards.filter((shard) => shard.length > 0).entries()) {
    const name = `model-${i + 1}.safetensors`;
    let end = 0;
    const header = {};
    for (const tensor of tensors) {
      const bytes = count(tensor) * bytesPerValue;
      header[tensor.name] = { dtype, shape: tensor.shape, data_offsets: [end, end + bytes] };
      map[tensor.name] = name;
      end += bytes;
    }
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const handle = openSync(path.join(dir, name), 'w');
    writeSync(handle, Buffer.concat([length, json]));
    if (sparse) truncateSync(path.join(dir, name), 8 + json.length + end);
    else writeNoise(handle, end);
    fsyncSync(handle);
    closeSync(handle);
  }
  writeFileSync(path.join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map }));
  const config = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: shape.hidden,
    intermediate_size: shape.intermediate,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: 8,
    vocab_size: shape.vocab,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    rope_theta: 500000,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    torch_dtype: dtype === 'F32' ? 'float32' : 'bfloat16',
  };
  writeFileSync(path.join(dir, 'config.json'), JSON.stringify(config));
  return dir;
}

/** A GGUF file whose matrices are all of one type. */
function writeGguf(file, shape, type) {
  const described = tensorsOf(shape).map((tensor) => {
    const { id, values, bytes } = GGML[tensor.shape.length === 1 ? 'F32' : type];
    return { name: tensor.gguf, shape: tensor.shape, type: id, bytes: (count(tensor) / values) * bytes };
  });
  const spec = {
    ...TINY_LLAMAS.untied,
    vocabSize: shape.vocab,
    hiddenSize: shape.hidden,
    intermediateSize: shape.intermediate,
    layers: shape.layers,
    heads: shape.heads,
    kvHeads: 8,
    headDim: shape.hidden / shape.heads,
  };
  let offset = 0;
  const tensors = described.map(({ bytes, ...tensor }) => {
    const placed = { ...tensor, offset, data: Buffer.alloc(0) };
    offset += Math.ceil(bytes / 32) * 32;
    return placed;
  });
  const handle = openSync(file, 'w');
  writeSync(handle, ggufBytes(ggufMetadata(spec), tensors));
  for (const { bytes } of described) {
    writeNoise(handle, bytes);
    writeSync(handle, Buffer.alloc(Math.ceil(bytes / 32) * 32 - bytes));
  }
  fsyncSync(handle);
  closeSync(handle);
  return file;
}

const filesOf = (source) =>
  statSync(source).isDirectory() ? readdirSync(source).map((name) => path.join(source, name)) : [source];
const bytesOf = (source) => filesOf(source).reduce((sum, file) => sum + statSync(file).size, 0);

/** Puts the files of a source into the page cache, or out of it. */
function setCache(source, state) {
  for (const file of filesOf(source)) {
    const args = state === 'warm' ? ['of=/dev/null', 'bs=1M'] : ['iflag=nocache', 'count=0', 'of=/dev/null'];
    execFileSync('dd', [`if=${file}`, ...args], { stdio: 'ignore' });
  }
}

function measureCopy(source, out) {
  mkdirSync(out);
  const start = performance.now();
  execFileSync('cp', ['--reflink=never', '--sparse=never', ...filesOf(source), out]);
  const copied = performance.now();
  for (const file of filesOf(out)) {
    const handle = openSync(file, 'r');
    fsyncSync(handle);
    closeSync(handle);
  }
  return { copySeconds: (copied - start) / 1000, syncedSeconds: (performance.now() - start) / 1000 };
}

const dir = mkdtempSync(path.join(flags.dir, 'bench-convert-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));

const report = new Report('convert', flags);
const gb = Number(flags.gb);
const source = path.join(dir, 'source');
const out = path.join(dir, 'out');
const CASES = {
  'safetensors bfloat16, kept': { make: () => writeHuggingFace(source, shapeOf(gb, 2), 'BF16') },
  'safetensors bfloat16, split for TP 2': { make: () => writeHuggingFace(source, shapeOf(gb, 2), 'BF16'), tpSize: 2 },
  'safetensors float32 to float16': { make: () => writeHuggingFace(source, shapeOf(gb, 4), 'F32') },
  'GGUF Q4_K, blocks kept': { make: () => writeGguf(source, shapeOf(gb, 144 / 256), 'Q4_K') },
  'GGUF Q8_0, blocks kept': { make: () => writeGguf(source, shapeOf(gb, 34 / 32), 'Q8_0') },
  'GGUF Q8_0 to float16': { make: () => writeGguf(source, shapeOf(gb, 34 / 32), 'Q8_0'), dtype: 'float16' },
};

const rows = [];
for (const [name, { make, dtype = 'auto', tpSize = 1 }] of Object.entries(CASES)) {
  if (flags.only && !name.includes(flags.only)) continue;
  make();
  for (const cache of ['cold', 'warm']) {
    const results = [];
    for (let i = 0; i < Number(flags.rounds); i++) {
      setCache(source, cache);
      const copy = measureCopy(source, out);
      rmSync(out, { recursive: true });
      setCache(source, cache);
      const conversion = measureConversion({ source, out, dtype, tpSize });
      results.push({ ...copy, ...conversion, written: bytesOf(out) });
      rmSync(out, { recursive: true });
    }
    const of = (key) => median(results.map((result) => result[key]));
    rows.push({
      source: name,
      cache,
      readGb: round(bytesOf(source) / 1e9),
      writtenGb: round(of('written') / 1e9),
      copyS: round(of('copySeconds')),
      copyAndSyncS: round(of('syncedSeconds')),
      convertS: round(of('seconds')),
      convertCpuS: round(of('cpuSeconds')),
      ratio: round(median(results.map(({ seconds, syncedSeconds }) => seconds / syncedSeconds))),
      peakMb: round(of('peakMb'), 0),
      longestTurnMs: round(of('longestTurnMs'), 1),
      loopBusyMs: round(of('loopBusyMs'), 0),
    });
  }
  rmSync(source, { recursive: true });
}
if (rows.length > 0) report.table('Conversion beside a copy of the source by cp, both on the disk at the end', rows);

if (!flags.only || '70B'.includes(flags.only)) {
  writeHuggingFace(source, LLAMA_70B, 'BF16', { sparse: true });
  const total = bytesOf(source);
  report.table(
    'Peak memory while a 70B of zeros in sparse shards is converted, stopped after so many GB',
    [0.25, 0.5, 1, 2].map((part) => {
      const { peakMb, longestTurnMs } = measureConversion({ source, out, stopAt: part * gb * 1e9 });
      return {
        sourceGb: round(total / 1e9),
        stoppedAfterGb: part * gb,
        peakMb: round(peakMb, 0),
        longestTurnMs: round(longestTurnMs, 1),
      };
    }),
  );
}
