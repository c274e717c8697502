import { doctor as diagnose } from '../index.js';
import { type Command, positionals, printJson, ToldFailure, text } from './command.js';

export const doctor: Command = {
  name: 'doctor',
  usage: 'doctor',
  summary: 'tell what each executor needs, has and lacks here',
  help: `Usage: node-tensorrt-llm doctor [OPTIONS]

Tells what this machine has of what each executor needs, and how to fix what it lacks. It changes nothing. Status 0 says that
the default executor works, and with --engine that the engine fits.

  --engine DIR   hold an engine directory against the machine too: version, ranks, types
  --json         print one object: {"type":"diagnosis","ok","findings":[{"name","state","found","fix"}]}
`,
  options: { engine: { type: 'string' }, json: { type: 'boolean' } },
  async run(args) {
    positionals(args);
    const diagnosis = await diagnose({ engine: text(args.values, 'engine') });
    if (args.values.json) printJson({ type: 'diagnosis', ...diagnosis });
    else {
      const width = Math.max(...diagnosis.findings.map(({ name }) => name.length));
      for (const { name, state, found, fix } of diagnosis.findings) {
        process.stdout.write(`${state.padEnd(7)}  ${name.padEnd(width)}  ${found}\n`);
        if (fix !== undefined) process.stdout.write(`${''.padEnd(width + 9)}  -> ${fix}\n`);
      }
    }
    if (!diagnosis.ok) throw new ToldFailure();
  },
};
