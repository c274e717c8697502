import type { KnownModel } from '#lib/engine/pull/models.js';
import { pullModel } from '#lib/engine/pull/pull.js';
import { given, tell } from '../../../../tools/program.js';

export interface Work {
  readonly model: KnownModel;
  readonly cacheDir: string;
  /** The process is killed when so many bytes have come. Default: never. */
  readonly dieAt?: number;
}

const { model, cacheDir, dieAt = Number.POSITIVE_INFINITY } = given<Work>();
const onProgress = ({ done }: { done: number }): void => {
  if (done >= dieAt) process.kill(process.pid, 'SIGKILL');
};
tell(await pullModel(model, { source: 'hub', cacheDir, onProgress }));
