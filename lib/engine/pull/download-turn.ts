import { createHash, randomUUID } from 'node:crypto';
import { lstat, mkdir, readdir, readlink, rename, rm, stat, symlink, utimes } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { isNotFound, isSystemError } from '../../base/file-errors.js';
import type { OnProgress } from '../../base/progress.js';
import { ownerOf, removeLeftovers, temporaryName } from '../convert/leftovers.js';
import { keepDownloads } from './fetch-model.js';
import type { KnownModel } from './models.js';

const LOOK_MS = 100;
const TOUCH_MS = 5_000;
/** A directory that is not touched for so long belongs to nobody: its thread ended, its process was stopped, or its machine is gone. */
const FRESH_MS = 60_000;

/**
 * Calls for one engine, of any process, download one after another: the first does the work, and the others find the engine. Whose
 * turn it is says a symbolic link to the directory that it downloads to. It only saves work: where two go at once after all, as on a
 * file system without links, each has a directory of its own.
 */
export class DownloadTurn {
  readonly #link: string;
  readonly #touching: NodeJS.Timeout;

  private constructor(
    /** The directory of this call alone. */
    readonly staging: string,
    link: string,
  ) {
    this.#link = link;
    this.#touching = setInterval(() => {
      const now = new Date();
      utimes(staging, now, now).catch(() => {});
    }, TOUCH_MS).unref();
  }

  /** Waits until no other call downloads the model for `out`, and tells the progress of the one that does. */
  static async wait(
    downloads: string,
    model: KnownModel,
    out: string,
    { signal, onProgress }: { signal: AbortSignal | undefined; onProgress: OnProgress | undefined },
  ): Promise<DownloadTurn> {
    await mkdir(downloads, { recursive: true });
    const place = join(downloads, model.name);
    const hash = createHash('sha256').update(out).digest('hex').slice(0, 8);
    const turn = new DownloadTurn(join(downloads, await temporaryName(place)), `${place}-${hash}.turn`);
    try {
      await mkdir(turn.staging);
      const total = model.hub.files.reduce((sum, { bytes }) => sum + bytes, 0);
      for (let holder = await turn.#take(); holder !== undefined; holder = await turn.#take()) {
        onProgress?.({ stage: 'download', done: Math.min(await bytesIn(holder), total), total });
        await setTimeout(LOOK_MS, undefined, { ...(signal && { signal }) }).catch(() => signal?.throwIfAborted());
      }
      await removeLeftovers(place, (dir) => keepDownloads(model, dir));
      return turn;
    } catch (error) {
      await turn.end();
      throw error;
    }
  }

  /** Lets the next have its turn, and removes `staging`. */
  async end(): Promise<void> {
    clearInterval(this.#touching);
    if ((await targetOf(this.#link)) === this.staging) await rm(this.#link, { force: true });
    await rm(this.staging, { recursive: true, force: true });
  }

  /** Takes the turn, or returns the directory of the call that has it. */
  async #take(): Promise<string | undefined> {
    for (;;) {
      try {
        await symlink(this.staging, this.#link);
        return undefined;
      } catch (error) {
        if (!isSystemError(error) || error.code !== 'EEXIST') return undefined; // there are no links here
      }
      const holder = await targetOf(this.#link);
      if (holder === undefined) {
        if (await lstat(this.#link).catch(() => undefined)) return undefined; // not a link of ours
        continue; // it has just ended
      }
      if (await isHeldBy(holder)) return holder;
      await this.#removeLinkTo(holder);
    }
  }

  async #removeLinkTo(holder: string): Promise<void> {
    const removed = `${this.#link}.${randomUUID()}`;
    try {
      await rename(this.#link, removed);
    } catch (error) {
      if (isNotFound(error)) return;
      throw error;
    }
    const target = await targetOf(removed);
    await rm(removed);
    // Another call had just put its own there.
    if (target !== undefined && target !== holder) await symlink(target, this.#link).catch(() => {});
  }
}

const targetOf = (link: string): Promise<string | undefined> => readlink(link).catch(() => undefined);

async function isHeldBy(holder: string): Promise<boolean> {
  if ((await ownerOf(basename(holder))) === 'has ended') return false;
  const facts = await stat(holder).catch(() => undefined);
  return facts !== undefined && Date.now() - facts.mtimeMs < FRESH_MS;
}

async function bytesIn(dir: string): Promise<number> {
  const names = await readdir(dir).catch((): string[] => []);
  const facts = await Promise.all(names.map((name) => stat(join(dir, name)).catch(() => undefined)));
  return facts.reduce((sum, file) => sum + (file?.isFile() ? file.size : 0), 0);
}
