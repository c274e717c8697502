// Gives damaged input to whatever reads files or tokens: `npm run fuzz -- [--seconds N] [--seed N] [PART_OF_A_TARGET'S_NAME ...]`.
// `native/` are libFuzzer programs (test/fuzz/*_fuzzer.cc), `lib/` the readers of test/fuzz/readers.ts. The seconds are for all
// targets together. What a run learned of native inputs stays in build/fuzz/corpus.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.join(import.meta.dirname, '..');
const build = path.join(root, 'build', 'fuzz');
const findings = path.join(build, 'findings');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' } },
});

/** By the name of the program, valid inputs to start from. */
const NATIVE_SEEDS = {
  config: [
    '{"pretrained_config":{"architecture":"LlamaForCausalLM","dtype":"float16","hidden_act":"silu","hidden_size":64,' +
      '"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_size":16,"intermediate_size":64,' +
      '"vocab_size":64,"max_position_embeddings":64,"tie_word_embeddings":true,"mapping":{"tp_size":1},"rotary_scaling":' +
      '{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":64}},' +
      '"build_config":{"max_batch_size":4,"max_num_tokens":8,"max_seq_len":32,"max_input_len":16}}',
  ],
  // The last byte says how many bytes follow the header.
  safetensors: [
    '{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[2,2],"data_offsets":[16,24]}}\x18',
  ],
  // The pattern ends at a backslash with another character than a backslash behind it; \\ is a backslash of it.
  pattern: [
    "'s|'t| ?\\\\p{L}+| ?[^\\\\s\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+\\.it's  1 \n",
    "(?i:'S|'ll)|[a-z&&[^b-d]]{1,3}?(?>ab|c)*+(?<=a|bc)(?<!x)$|^\\\\b[[:alpha:]]\\.abc'LL",
  ],
  normalize: ['e\xCC\x81\xCC\xA3\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8\xEF\xB7\xBA\xEF\xBE\x9E'],
  stop_strings: [],
  text_stream: [],
  // The text is repeated as often as the last byte says.
  tokenizer: [
    {
      normalizer: {
        type: 'Sequence',
        normalizers: [{ type: 'NFC' }, { type: 'Strip', strip_left: true, strip_right: false }],
      },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          {
            type: 'Split',
            pattern: { Regex: ' ?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)' },
            behavior: 'Isolated',
            invert: false,
          },
          { type: 'ByteLevel', add_prefix_space: true, use_regex: true },
        ],
      },
      post_processor: null,
      model: {
        type: 'BPE',
        ignore_merges: true,
        vocab: { a: 0, b: 1, ab: 2, Ġ: 3, Ġab: 4, 1: 5 },
        merges: ['a b', 'Ġ ab'],
      },
      decoder: { type: 'ByteLevel' },
    },
    {
      normalizer: {
        type: 'Sequence',
        normalizers: [
          { type: 'Prepend', prepend: '_' },
          { type: 'Replace', pattern: { String: ' ' }, content: '_' },
        ],
      },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Metaspace', replacement: '_', prepend_scheme: 'first', split: true },
          { type: 'Punctuation', behavior: 'MergedWithNext' },
          { type: 'Digits', individual_digits: false },
        ],
      },
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }],
        special_tokens: { '<s>': { ids: [5] } },
      },
      model: {
        type: 'BPE',
        unk_token: '?',
        fuse_unk: true,
        byte_fallback: true,
        vocab: { '?': 0, a: 1, b: 2, ab: 3, '<0xC3>': 4 },
        merges: [['a', 'b']],
      },
      decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
    },
  ].map((json, i) => {
    const flags = { single_word: i === 1, lstrip: i === 0, rstrip: i === 1, normalized: i === 1, special: true };
    const added_tokens = [{ id: 6 - i, content: '<s>', ...flags }];
    const text = 'ab <s>é12 _ba';
    return Buffer.from(`${text}\\x${JSON.stringify({ ...json, added_tokens })}\x01`).toString('latin1');
  }),
  wire: [],
};

const runOrExit = (command, args, options = {}) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error) console.error(`${command} could not be run: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
};

function findClang() {
  const input = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }';
  const args = ['-fsanitize=fuzzer,address,undefined', '-x', 'c++', '-', '-o', '/dev/null'];
  const names = ['clang++', ...[21, 20, 19, 18, 17, 16, 15, 14].map((version) => `clang++-${version}`)];
  return names.find((name) => spawnSync(name, args, { input }).status === 0);
}

function buildNative() {
  let clang = findClang();
  if (!clang && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    runOrExit('apt-get', ['update', '-q']);
    runOrExit('apt-get', ['install', '-y', '-q', 'clang-14', 'libclang-rt-14-dev']);
    clang = findClang();
  }
  if (!clang) {
    console.error(
      'The native fuzzers need clang 14 or newer with its sanitizers: apt-get install clang-14 libclang-rt-14-dev',
    );
    process.exit(1);
  }
  const flags = '-g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined';
  runOrExit('cmake', [
    ...['-S', root, '-B', build, '-DNATIVE_FUZZERS=ON', '-DCMAKE_BUILD_TYPE=Debug', '-Wno-dev'],
    ...[`-DCMAKE_C_COMPILER=${clang.replace('++', '')}`, `-DCMAKE_CXX_COMPILER=${clang}`, `-DCMAKE_CXX_FLAGS=${flags}`],
  ]);
  runOrExit('cmake', ['--build', build, '-j', '2']);
}

function fuzzNative(name, seconds) {
  const corpus = path.join(build, 'corpus', name);
  mkdirSync(corpus, { recursive: true });
  for (const [i, seed] of NATIVE_SEEDS[name].entries()) writeFileSync(path.join(corpus, `seed-${i}`), seed, 'latin1');
  const program = path.join(build, 'test', 'fuzz', `${name}_fuzzer`);
  const limits = ['-timeout=10', '-rss_limit_mb=1024', '-malloc_limit_mb=256', '-max_len=4096'];
  const prefix = path.join(findings, `${name}-`);
  const { status, stderr } = spawnSync(
    program,
    [
      `-max_total_time=${seconds}`,
      `-seed=${values.seed}`,
      ...limits,
      '-print_final_stats=1',
      `-artifact_prefix=${prefix}`,
      corpus,
    ],
    { encoding: 'latin1', maxBuffer: 1 << 30, env: { ...process.env, TMPDIR: scratch } },
  );
  const executions = Number(/number_of_executed_units: (\d+)/.exec(stderr)?.[1] ?? 0);
  if (status === 0) return { executions };
  const input = /Test unit written to (.*)/.exec(stderr)?.[1] ?? '(none)';
  return { executions, report: `${stderr.slice(-6000)}\nAgain: ${program} ${input}` };
}

function fuzzReader(name, seconds) {
  const program = path.join(root, 'dist-test', 'fuzz', 'fuzz-reader.js');
  const files = path.join(scratch, name);
  const { status, stdout, stderr, error } = spawnSync(
    process.execPath,
    ['--max-old-space-size=512', program, name, String(seconds), values.seed, files],
    // One that hangs is ended: far more than the seconds it was given, and then the longest that a reader may take.
    { encoding: 'utf8', timeout: (2 * seconds + 30) * 1000, env: { ...process.env, TMPDIR: scratch } },
  );
  if (status === 0) return JSON.parse(stdout);
  const kept = path.join(findings, `${name}-${values.seed}`);
  rmSync(kept, { recursive: true, force: true });
  if (existsSync(files)) cpSync(files, kept, { recursive: true });
  return { executions: 0, report: `${error ?? ''}\n${stderr.slice(-6000)}\nAgain: node ${program} ${name} ${kept}` };
}

const isWanted = (target) => positionals.length === 0 || positionals.some((part) => target.includes(part));

runOrExit('npm', ['run', '--silent', 'build:ts']);
runOrExit('npx', ['tsc', '-p', 'test/tsconfig.json']);
const { READERS } = await import('../dist-test/fuzz/readers.js');
const targets = [
  ...Object.keys(NATIVE_SEEDS).map((name) => ({
    target: `native/${name}`,
    run: (seconds) => fuzzNative(name, seconds),
  })),
  ...Object.keys(READERS).map((name) => ({ target: `lib/${name}`, run: (seconds) => fuzzReader(name, seconds) })),
].filter(({ target }) => isWanted(target));
if (targets.length === 0) {
  console.error(`No target's name has ${positionals.join(' or ')} in it.`);
  process.exit(1);
}
if (targets.some(({ target }) => target.startsWith('native/'))) buildNative();
mkdirSync(findings, { recursive: true });

// Each execution writes files; memory takes them twenty times faster than a disk.
const scratch = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'fuzz-'));
const seconds = Math.max(1, Math.floor(Number(values.seconds) / targets.length));
const table = {};
try {
  for (const { target, run } of targets) {
    console.log(`${target}: ${seconds} s, seed ${values.seed}`);
    const start = performance.now();
    const { executions, report } = run(seconds);
    if (report) console.error(report);
    const perSecond = Math.round((executions * 1000) / (performance.now() - start));
    table[target] = { executions, 'executions/s': perSecond, findings: report ? 1 : 0 };
  }
} finally {
  rmSync(scratch, { recursive: true });
}
console.table(table);
const found = Object.values(table).some((row) => row.findings > 0);
if (found) console.error(`The inputs are in ${findings}: ${readdirSync(findings).join(', ')}`);
process.exit(found ? 1 : 0);
