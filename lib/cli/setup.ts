import { setup as setUp } from '../index.js';
import { type Command, positionals, printJson, text } from './command.js';

export const setup: Command = {
  name: 'setup',
  usage: 'setup',
  summary: "build the executor for this machine's TensorRT-LLM",
  help: `Usage: node-tensorrt-llm setup [OPTIONS]

Builds libexecutor_tensorrt_llm.so for this machine's TensorRT-LLM (0.13 to 1.2) and puts it beside the addon, where
LLM.load(dir, { executor: 'tensorrt-llm' }) opens it. Needs CMake, a C++ compiler and the CUDA headers, but no network and no GPU.
If the same library was built before, it is opened and kept.

  --root DIR       the tensorrt_llm directory of the installed wheel, or one with include/ and lib/
                   (default: TENSORRT_LLM_ROOT, else what python3 has installed)
  --include DIR    headers, if the wheel has none: cpp/include of a checkout of the same version
  --dry-run        show what is found and would be built
  --verbose        show the output of CMake and the compiler
  --json           print {"type":"step"} for each step, then {"type":"library","path"}
`,
  options: {
    root: { type: 'string' },
    include: { type: 'string' },
    'dry-run': { type: 'boolean' },
    verbose: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  async run(args, signal) {
    positionals(args);
    const { values } = args;
    const path = await setUp({
      root: text(values, 'root'),
      include: text(values, 'include'),
      dryRun: values['dry-run'] === true,
      signal,
      onStep(step) {
        if (values.json) printJson({ type: 'step', ...step });
        else {
          process.stdout.write(`${step.name.padEnd(13)} ${step.text}\n`);
          if (step.warning) process.stdout.write(`${''.padEnd(13)} warning: ${step.warning}\n`);
        }
      },
      onOutput: values.verbose ? (output) => process.stderr.write(output) : undefined,
    });
    if (values.json) printJson({ type: 'library', path });
  },
};
