import { boolean, type Checks, callback, readOptions, signal, text } from '../base/checks.js';
import type { SetupOptions } from './setup-options.js';

const checks: Checks<SetupOptions> = {
  root: text(),
  include: text(),
  outDir: text(),
  dryRun: boolean(),
  signal: signal(),
  onStep: callback(),
  onOutput: callback(),
};

/**
 * Builds the executor library for this machine's TensorRT-LLM, opens it, and puts it beside the addon. If the same library was
 * built before, it is opened and kept. Needs no network and no GPU.
 * @returns the path of the library.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` if something is missing, does not fit or does not compile, `ERR_NOT_WRITABLE` if the library
 *   cannot be written, `ERR_INVALID_OPTION`, `ERR_PLATFORM_UNSUPPORTED`, `ERR_ADDON_LOAD`; if `options.signal` aborts, its reason.
 */
export async function setup(options: SetupOptions = {}): Promise<string> {
  const checked = readOptions(options, checks, 'setup()');
  const { installExecutor } = await import('./install-executor.js'); // a service that starts does not need it
  return installExecutor(checked);
}
