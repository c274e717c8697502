import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostProgram, loadAddon } from '../../addon/addon.js';
import { fromExecutor } from '../../addon/executor-error.js';
import { LLMError, messageOf } from '../../base/errors.js';
import { fixOf } from '../../base/file-errors.js';
import { openFile } from '../../base/files.js';
import { type Ran, runProgram } from '../../machine/programs.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { openEngine } from '../directory/directory.js';
import { CALIBRATION_TEXTS } from './calibration-texts.js';
import type { ConversionEvents } from './conversion-thread.js';

/** The largest absolute values that go into a layer's matrices: qkv, dense, fc and gate, proj. */
export type InputMaxima = readonly [qkv: number, dense: number, fc: number, proj: number];

// As many texts, and of each as many tokens, as TensorRT-LLM's quantize.py takes.
const MOST_TEXTS = 512;
const MOST_TOKENS = 512;
/** No token is longer than this many characters, but for a few of a tokenizer's whitespace. */
const MOST_CHARACTERS_PER_TOKEN = 64;

/**
 * The texts to calibrate with: the lines of a file or, if its name ends in .jsonl, the `text` of the object in each.
 * @param file absolute; undefined: the built-in texts.
 * @throws {LLMError} `ERR_INVALID_OPTION` if it cannot be read or has none.
 */
export async function calibrationTexts(file: string | undefined): Promise<readonly string[]> {
  if (file === undefined) return CALIBRATION_TEXTS;
  const texts: string[] = [];
  try {
    const handle = await openFile(file);
    let number = 0;
    // Closes the file, also if the loop is left.
    for await (const line of handle.readLines({ encoding: 'utf8' })) {
      number++;
      const text = file.endsWith('.jsonl') ? textOf(line, `line ${number} of ${file}`) : line;
      if (text.trim() !== '') texts.push(text.slice(0, MOST_TOKENS * MOST_CHARACTERS_PER_TOKEN));
      if (texts.length === MOST_TEXTS) break;
    }
  } catch (cause) {
    if (LLMError.is(cause)) throw cause;
    throw wrongFile(`${file} cannot be read: ${messageOf(cause)}`, fixOf(cause, 'Check the path.'), cause);
  }
  if (texts.length === 0) throw wrongFile(`${file} has no text`, 'Write one in each line.');
  return texts;
}

function textOf(line: string, place: string): string {
  if (line.trim() === '') return '';
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw wrongFile(`${place} is not JSON: ${messageOf(cause)}`, 'Correct it, or name the file .txt.', cause);
  }
  const text = Object(value).text;
  if (typeof text === 'string') return text;
  throw wrongFile(`${place} has no text`, 'Give each line an object with a text, such as {"text":"Once upon a time"}.');
}

const wrongFile = (found: string, fix: string, cause?: unknown): LLMError =>
  new LLMError('ERR_INVALID_OPTION', `calibration: ${found}; expected a text in each line. ${fix}`, {
    option: 'calibration',
    cause,
  });

/**
 * Runs a model over texts on the CPU, in a process of its own, and returns the maxima of each layer.
 * @param dir an engine of plain weights with a layer in each stage: two are in memory at a time.
 * @throws {LLMError} what loading an engine on the CPU throws, `ERR_SOURCE_INVALID` if a value is not finite; the signal's reason.
 */
export async function findInputMaxima(
  dir: string,
  texts: readonly string[],
  { signal, onProgress }: ConversionEvents,
): Promise<InputMaxima[]> {
  const file = join(dir, 'calibration.tokens');
  await writeFile(file, (await tokensOf(dir, texts, signal)).map((tokens) => `${tokens.join(' ')}\n`).join(''));
  const stopping = new AbortController(); // by a callback that throws
  const stopped = signal ? AbortSignal.any([signal, stopping.signal]) : stopping.signal;
  let failure: unknown;
  const ran = await runProgram(hostProgram(), ['--calibrate', dir, file], {
    timeoutMs: 2 ** 31 - 1,
    signal: stopped,
    onFailure: (error) => {
      failure = error;
    },
    onOutput: (text) => {
      const [, done, total] = [...text.matchAll(PROGRESS)].at(-1) ?? [];
      if (done === undefined || stopped.aborted) return;
      try {
        onProgress?.({ stage: 'calibrate', done: Number(done), total: Number(total) });
      } catch (error) {
        stopping.abort(error);
      }
    },
  });
  if (!ran) {
    throw new LLMError(
      'ERR_EXECUTOR_UNAVAILABLE',
      `${hostProgram()}, which calibrates, cannot be started: ${messageOf(failure)}. ${fixOf(failure, 'Reinstall the package.')}`,
    );
  }
  return readMaxima(ran);
}

const PROGRESS = /^(\d+) of (\d+)$/gm;

async function tokensOf(dir: string, texts: readonly string[], signal: AbortSignal | undefined): Promise<Int32Array[]> {
  const { tokenizerPath, config, ...engine } = await openEngine(dir);
  if (tokenizerPath === undefined || !config) throw new LLMError('ERR_INTERNAL', `${dir} lost its tokenizer.`);
  const tokenizer = await Tokenizer.load(loadAddon(), { ...engine, tokenizerPath });
  const most = Math.min(MOST_TOKENS, config.build_config.max_seq_len);
  const all: Int32Array[] = [];
  for (const text of texts) all.push((await tokenizer.encode(text, { signal })).subarray(0, most));
  return all;
}

function readMaxima({ status, signal, stdout, output }: Ran): InputMaxima[] {
  if (status !== 0) {
    const message = output.replace(PROGRESS, '').trim();
    if (status !== null) throw fromExecutor(status, message);
    throw new LLMError('ERR_EXECUTOR_FAILED', `The process that calibrates was ended by ${signal}: ${message}`);
  }
  const maxima = JSON.parse(stdout) as (number | null)[][];
  const odd = maxima.findIndex((layer) => layer.includes(null));
  if (odd === -1) return maxima as unknown as InputMaxima[];
  throw new LLMError(
    'ERR_SOURCE_INVALID',
    `Layer ${odd} of the model computes values that are not finite; expected numbers. Use another dtype, or another checkpoint of the model.`,
  );
}
