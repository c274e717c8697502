#!/usr/bin/env node
// Stands in for NVIDIA's trtllm-build in tests. It takes the arguments that those of TensorRT-LLM 0.13, 0.20 and 1.2 all take
// (parse_arguments of tensorrt_llm/commands/build.py, and PluginConfig), and writes files where they write engines.
// FAKE_TRTLLM_BUILD says what it does instead: a JSON object with `print`, `exit`, `hang`, `skipRank` or `nonsense`.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const NUMBERS = [
  'workers',
  'max_batch_size',
  'max_input_len',
  'max_seq_len',
  'max_num_tokens',
  'max_beam_width',
  'opt_num_tokens',
];
const SWITCHES = [
  'remove_input_padding',
  'context_fmha',
  'use_paged_context_fmha',
  'use_fp8_context_fmha',
  'multiple_profiles',
];
const PLUGINS = ['gemm_plugin', 'gpt_attention_plugin', 'nccl_plugin', 'lora_plugin'];
const PLUGIN_VALUES = ['auto', 'float16', 'float32', 'bfloat16', 'int32', 'fp8', 'disable'];

function refuse(message) {
  process.stderr.write(
    `usage: trtllm-build [-h] [--checkpoint_dir CHECKPOINT_DIR] ...\ntrtllm-build: error: ${message}\n`,
  );
  process.exit(2);
}

function parse(args) {
  const values = {};
  for (let i = 0; i < args.length; i += 2) {
    const name = /^--(\w+)$/.exec(args[i])?.[1] ?? refuse(`unrecognized arguments: ${args[i]}`);
    const value = args[i + 1] ?? refuse(`argument --${name}: expected one argument`);
    if (NUMBERS.includes(name)) {
      if (!/^\d+$/.test(value)) refuse(`argument --${name}: invalid int value: '${value}'`);
    } else if (SWITCHES.includes(name)) {
      if (!['enable', 'disable'].includes(value)) refuse(`argument --${name}: invalid choice: '${value}'`);
    } else if (PLUGINS.includes(name)) {
      if (!PLUGIN_VALUES.includes(value)) refuse(`argument --${name}: invalid choice: '${value}'`);
    } else if (!['checkpoint_dir', 'output_dir', 'log_level'].includes(name)) {
      refuse(`unrecognized arguments: ${args[i]} ${value}`);
    }
    values[name] = value;
  }
  return values;
}

const behaviour = JSON.parse(process.env.FAKE_TRTLLM_BUILD ?? '{}');
const values = parse(process.argv.slice(2));
// PretrainedConfig.from_json_file: the fields of the model, not those of an engine.
const pretrained = JSON.parse(readFileSync(join(values.checkpoint_dir, 'config.json'), 'utf8'));
const { tp_size: tp = 1, pp_size: pp = 1 } = pretrained.mapping ?? {};

console.log('[TensorRT-LLM] TensorRT-LLM version: 1.2.0');
if (!pretrained.architecture) {
  process.stderr.write("    model_cls = MODEL_MAP[config['architecture']]\nKeyError: 'architecture'\n");
  process.exit(1);
}
if (behaviour.print) process.stderr.write(`${behaviour.print}\n`);
if (behaviour.hang) {
  // As a rank that is built by another process: it must not be left behind.
  const worker = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  console.log(`worker ${worker.pid}`);
  process.on('SIGTERM', () => {});
  setInterval(() => {}, 1000);
} else if (behaviour.exit !== undefined) {
  process.exit(behaviour.exit);
} else if (behaviour.kill) {
  process.kill(process.pid, 'SIGKILL');
} else {
  mkdirSync(values.output_dir, { recursive: true });
  for (let rank = 0; rank < tp * pp; rank++) {
    readFileSync(join(values.checkpoint_dir, `rank${rank}.safetensors`));
    if (rank !== behaviour.skipRank) writeFileSync(join(values.output_dir, `rank${rank}.engine`), 'an engine');
    console.log(`[TRT-LLM] [I] Serializing engine to ${join(values.output_dir, `rank${rank}.engine`)}...`);
    console.log('[TRT-LLM] [I] Engine serialized. Total time: 00:00:01');
  }
  const build_config = {
    max_batch_size: Number(values.max_batch_size),
    max_beam_width: Number(values.max_beam_width),
    max_input_len: Number(values.max_input_len),
    max_seq_len: Number(values.max_seq_len),
    max_num_tokens: Number(values.max_num_tokens),
    plugin_config: { paged_kv_cache: true, remove_input_padding: true, tokens_per_block: 32 },
  };
  const config =
    behaviour.nonsense ?? JSON.stringify({ version: '1.2.0', pretrained_config: pretrained, build_config });
  writeFileSync(join(values.output_dir, 'config.json'), config);
  console.log('[TRT-LLM] [I] Total time of building all engines: 00:00:02');
}
