import { verify as verifyEngine } from '../index.js';
import { type Command, positionals, text } from './command.js';
import { printDiagnosis } from './print-diagnosis.js';
import { progressBar } from './progress-bar.js';

export const verify: Command = {
  name: 'verify',
  usage: 'verify DIR',
  summary: 'check an engine, its files and its logits',
  help: `Usage: node-tensorrt-llm verify DIR [OPTIONS]

Checks the engine in DIR: its config, its files by the hashes of the manifest, and the tensors of each rank. With --against it also
compares logits on a few prompts, on the CPU. The exit status is 0 if all is in order.

  --against SOURCE   the checkpoint that the engine was made from
  --tokenizer DIR    directory with the tokenizer of SOURCE, if that has none
  --json             print one object: {"type":"diagnosis","ok","findings":[{"name","state","found","fix"}]}
`,
  options: { against: { type: 'string' }, tokenizer: { type: 'string' }, json: { type: 'boolean' } },
  async run(args, signal) {
    const [dir] = positionals(args, 'DIR') as [string];
    const { values } = args;
    const options = { against: text(values, 'against'), tokenizer: text(values, 'tokenizer') };
    const diagnosis = await verifyEngine(dir, { ...options, signal, onProgress: progressBar() });
    printDiagnosis(diagnosis, { json: values.json === true });
  },
};
