import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Checks, callback, listOf, readOptions, signal, text } from './base/checks.js';
import { pathOf, path as pathOption } from './base/paths.js';
import type { OnProgress } from './base/progress.js';
import type { Logits } from './base/types.js';
import { type Diagnosis, type Finding, ok, wrong, wrongBy } from './doctor/finding.js';
import { convert } from './engine/convert/convert.js';
import { tensorsOfRanks } from './engine/convert/shard.js';
import type { EngineConfig } from './engine/directory/checkpoint-config.js';
import { type EngineDirectory, openEngine } from './engine/directory/directory.js';
import { hashFile } from './engine/directory/manifest.js';
import { SafetensorsFile } from './engine/formats/safetensors.js';
import { LLM } from './llm.js';

/** What to compare an engine with. */
export interface VerifyOptions {
  /** The checkpoint it was made from: its logits on a few prompts are compared with the engine's, on the CPU. Default: none. */
  against?: string | URL | undefined;
  /** Directory with the tokenizer of `against`, if that has none. Default: its own. */
  tokenizer?: string | URL | undefined;
  /** Texts to compare the logits of. Default: three short ones. */
  prompts?: readonly string[] | undefined;
  /** Stops the work when it aborts. Default: none. */
  signal?: AbortSignal | undefined;
  /** Called with the number of bytes that were read, then converted. Default: none. */
  onProgress?: OnProgress | undefined;
}

const PROMPTS = [
  'The quick brown fox jumps over the lazy dog.',
  'How many r in strawberry?',
  'for (let i = 0; i < 10; i++) console.log(i);',
];

const checks: Checks<VerifyOptions> = {
  against: pathOption(),
  tokenizer: pathOption(),
  prompts: listOf(text(), 'texts'),
  signal: signal(),
  onProgress: callback(),
};

/**
 * Checks an engine directory: its config, its files by the hashes of the manifest, the tensors of each rank and, given the checkpoint
 * that it was made from, its logits. What is wrong is a finding, not an error.
 * @throws {LLMError} `ERR_INVALID_OPTION`; what `convert` throws for `against`; an abort throws the signal's reason.
 */
export async function verify(dir: string | URL, given: VerifyOptions = {}): Promise<Diagnosis> {
  const options = readOptions(given, checks, 'verify()');
  options.signal?.throwIfAborted();
  const path = pathOf('dir', dir);
  let engine: EngineDirectory;
  try {
    engine = await openEngine(path);
  } catch (error) {
    return { ok: false, findings: [wrongBy('config', error)] };
  }
  const { architecture, config, weights, rankFiles } = engine;
  const ranks = `${rankFiles.length} ${rankFiles.length === 1 ? 'rank' : 'ranks'}`;
  const findings = [
    ok('config', `${architecture}, a ${weights === 'tensorrt' ? 'TensorRT engine' : 'checkpoint'} of ${ranks}`),
  ];
  findings.push(...(await checkHashes(engine, options)));
  if (config) {
    findings.push(...(await checkTensors(config, rankFiles)));
    if (options.against !== undefined) findings.push(await checkLogits(path, config, options.against, options));
  }
  return { ok: findings.every(({ state }) => state === 'ok'), findings };
}

/** Hashes every file, which for the weights takes as long as reading them. */
async function checkHashes(
  { path, manifest }: EngineDirectory,
  { signal, onProgress }: Pick<VerifyOptions, 'signal' | 'onProgress'>,
): Promise<Finding[]> {
  if (!manifest) return [ok('files', 'there is no manifest, so there are no hashes to check')];
  const files = Object.entries(manifest.files);
  const total = files.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  const findings: Finding[] = [];
  let done = 0;
  for (const [name, expected] of files) {
    signal?.throwIfAborted();
    const file = join(path, name);
    const size = (await stat(file).catch(() => undefined))?.size;
    if (size === undefined) findings.push(wrong(name, 'is missing', 'Convert the model again, or copy the file.'));
    else if ((await hashFile(file, signal)).sha256 !== expected.sha256) {
      findings.push(
        wrong(name, `differs from what was written (${size} bytes)`, 'Convert the model again, or copy the file.'),
      );
    }
    done += expected.bytes;
    onProgress?.({ stage: 'verify', done, total });
  }
  return findings.length > 0 ? findings : [ok('files', `${files.length} files are as they were written`)];
}

/** The names and shapes of the tensors in each rank's file. Those of quantized matrices are left to the executor that loads them. */
async function checkTensors(
  { pretrained_config: model }: EngineConfig,
  rankFiles: readonly string[],
): Promise<Finding[]> {
  const algo = model.quantization.quant_algo;
  const isPlain = algo === null || algo === 'W8A16' || algo === 'W4A16';
  const expected = tensorsOfRanks(model);
  const findings: Finding[] = [];
  for (const [rank, file] of rankFiles.entries()) {
    const name = `tensors of rank ${rank}`;
    try {
      const opened = await SafetensorsFile.open(file);
      await opened.close();
      const problem = isPlain ? tensorProblem(opened.entries, expected[rank] ?? []) : undefined;
      findings.push(
        problem === undefined
          ? ok(name, `${opened.entries.size} tensors`)
          : wrong(name, problem, 'Convert the model again.'),
      );
    } catch (error) {
      findings.push(wrongBy(name, error));
    }
  }
  return findings;
}

function tensorProblem(
  entries: SafetensorsFile['entries'],
  expected: readonly { readonly name: string; readonly shape: readonly number[] }[],
): string | undefined {
  for (const { name, shape } of expected) {
    const found = entries.get(name);
    if (!found) return `${name} is missing`;
    if (found.shape.join() !== shape.join()) {
      return `${name} has the shape [${found.shape.join(', ')}]; expected [${shape.join(', ')}]`;
    }
  }
  const names = new Set(expected.map(({ name }) => name));
  const extra = [...entries.keys()].find((name) => !names.has(name));
  return extra === undefined ? undefined : `${extra} belongs to no such model`;
}

/** How much the largest difference of a logit may be of the largest logit: what rounding to 16 bits does, or to 8. */
const TOLERANCE = { plain: 0.02, quantized: 0.3 };
/** What rounding to 4 bits does to a small model has no such bound: there it counts at how many positions the likeliest token is the same. */
const FOUR_BITS: readonly unknown[] = ['W4A16', 'W4A16_AWQ'];
const SAME_IN_FOUR_BITS = 0.25;

async function checkLogits(
  path: string,
  config: EngineConfig,
  against: string | URL,
  options: VerifyOptions,
): Promise<Finding> {
  const { signal, onProgress, tokenizer, prompts = PROMPTS } = options;
  const { quant_algo } = config.pretrained_config.quantization;
  const temporary = await mkdtemp(join(tmpdir(), 'node-tensorrt-llm-verify-'));
  try {
    const reference = await convert(against, join(temporary, 'reference'), {
      dtype: 'float32',
      tokenizer,
      signal,
      onProgress,
    });
    const texts = [];
    for (const dir of [reference, path]) texts.push(await logitsOf(dir, prompts, signal));
    const [expected = [], found = []] = texts;
    return compare(expected, found, quant_algo);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function logitsOf(dir: string, prompts: readonly string[], signal: AbortSignal | undefined): Promise<Logits[]> {
  const llm = await LLM.load(dir, {
    executor: 'cpu',
    maxBatchSize: 1,
    kvCache: { maxTokens: 1024 },
    maxSeqLen: 1024,
    signal,
  });
  try {
    const results = await llm.generate(prompts, { maxTokens: 1, returnContextLogits: true, signal });
    return results.map(({ contextLogits }) => contextLogits as Logits);
  } finally {
    await llm.close();
  }
}

function compare(expected: readonly Logits[], found: readonly Logits[], algo: string | null): Finding {
  let largest = 0;
  let difference = 0;
  let rows = 0;
  let same = 0;
  for (const [i, { data, columns, rows: count }] of expected.entries()) {
    const other = found[i]?.data ?? new Float32Array();
    for (let row = 0; row < count; row++) {
      const [ours, theirs] = [data, other].map((each) => each.subarray(row * columns, (row + 1) * columns)) as [
        Float32Array,
        Float32Array,
      ];
      for (let at = 0; at < columns; at++) {
        largest = Math.max(largest, Math.abs(ours[at] as number));
        difference = Math.max(difference, Math.abs((ours[at] as number) - (theirs[at] as number)));
      }
      rows++;
      if (likeliest(ours) === likeliest(theirs)) same++;
    }
  }
  const words = `at most ${difference.toPrecision(2)} from the source's, whose largest is ${largest.toPrecision(3)}; the likeliest token is the same at ${same} of ${rows} positions`;
  const tolerance = algo === null ? TOLERANCE.plain : TOLERANCE.quantized;
  const isClose = difference <= tolerance * largest || (FOUR_BITS.includes(algo) && same >= SAME_IN_FOUR_BITS * rows);
  return isClose
    ? ok('logits', words)
    : wrong('logits', words, 'Convert the model again, and check that it is the same model.');
}

const likeliest = (logits: Float32Array): number =>
  logits.reduce((best, value, at) => (value > (logits[best] as number) ? at : best), 0);
