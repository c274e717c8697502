import { doctor as diagnose } from '../index.js';
import { type Command, positionals, text } from './command.js';
import { printDiagnosis } from './print-diagnosis.js';

export const doctor: Command = {
  name: 'doctor',
  usage: 'doctor',
  summary: 'check what each executor needs on this machine',
  help: `Usage: node-tensorrt-llm doctor [OPTIONS]

Checks what each executor needs on this machine, and shows how to fix what is missing. It changes nothing. The exit status is 0 if
the default executor works or, with --engine, if the engine's executor works and the engine fits this machine.

  --engine DIR   also check an engine directory against this machine: version, ranks, types
  --json         print one object: {"type":"diagnosis","ok","findings":[{"name","state","found","fix"}]}
`,
  options: { engine: { type: 'string' }, json: { type: 'boolean' } },
  async run(args) {
    positionals(args);
    const diagnosis = await diagnose({ engine: text(args.values, 'engine') });
    printDiagnosis(diagnosis, { json: args.values.json === true });
  },
};
