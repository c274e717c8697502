import type { Diagnosis } from '../index.js';
import { printJson, ToldFailure } from './command.js';

/** Prints findings as a table, or with `json` as one object, and fails if one is not in order. */
export function printDiagnosis(diagnosis: Diagnosis, { json }: { json: boolean }): void {
  if (json) printJson({ type: 'diagnosis', ...diagnosis });
  else {
    const width = Math.max(...diagnosis.findings.map(({ name }) => name.length));
    for (const { name, state, found, fix } of diagnosis.findings) {
      process.stdout.write(`${state.padEnd(7)}  ${name.padEnd(width)}  ${found}\n`);
      if (fix !== undefined) process.stdout.write(`${''.padEnd(width + 9)}  -> ${fix}\n`);
    }
  }
  if (!diagnosis.ok) throw new ToldFailure();
}
