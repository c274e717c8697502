import { type Checks, check, readOptions } from '../base/checks.js';
import { pathOf } from '../base/paths.js';
import type { Diagnosis } from './finding.js';

/** What to check besides the machine. */
export interface DoctorOptions {
  /** Engine directory to check against this machine. Default: none. */
  engine?: string | URL | undefined;
}

const checks: Checks<DoctorOptions> = {
  engine: check(
    'a path or a file: URL',
    (value): value is string | URL => typeof value === 'string' || value instanceof URL,
  ),
};

/**
 * Checks what the executors need on this machine. It changes nothing, takes no GPU memory, and runs a few programs for some seconds.
 * @throws {LLMError} `ERR_INVALID_OPTION`; problems of the machine or the engine are findings.
 */
export async function doctor(options: DoctorOptions = {}): Promise<Diagnosis> {
  const { engine } = readOptions(options, checks, 'doctor()');
  const { diagnose } = await import('./diagnose.js'); // what it takes, no service needs at its start
  return diagnose(engine === undefined ? undefined : pathOf('engine', engine));
}
