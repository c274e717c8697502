import { type Checks, check, readOptions } from '../base/checks.js';
import { pathOf } from '../base/paths.js';
import type { Diagnosis } from './finding.js';

/** What to look at besides the machine. */
export interface DoctorOptions {
  /** An engine directory to hold against the machine. Default: none. */
  engine?: string | URL | undefined;
}

const checks: Checks<DoctorOptions> = {
  engine: check(
    'a path or a file: URL',
    (value): value is string | URL => typeof value === 'string' || value instanceof URL,
  ),
};

/**
 * Looks at all that the executors need of a machine. It changes nothing, takes no GPU, and starts a few programs, for some seconds.
 * @throws {LLMError} `ERR_INVALID_OPTION`; what is wrong with the machine or the engine is a finding.
 */
export async function doctor(options: DoctorOptions = {}): Promise<Diagnosis> {
  const { engine } = readOptions(options, checks, 'doctor()');
  const { diagnose } = await import('./diagnose.js'); // what it takes, no service needs at its start
  return diagnose(engine === undefined ? undefined : pathOf('engine', engine));
}
