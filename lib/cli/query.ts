import { text as readAll } from 'node:stream/consumers';
import { type ChatMessage, type Input, LLM } from '../index.js';
import { type Arguments, type Command, positionals, text, UsageError } from './command.js';
import { printGeneration } from './print-generation.js';
import { generateOptions, loadOptions, SAMPLING_FLAGS, SAMPLING_HELP } from './sampling-flags.js';

export const query: Command = {
  name: 'query',
  usage: 'query DIR [TEXT]',
  summary: 'stream the answer to one message',
  help: `Usage: node-tensorrt-llm query DIR [TEXT] [OPTIONS]

Streams the answer of the engine in DIR to TEXT, or to standard input if TEXT is missing or "-".

  --raw                 continue TEXT as a prompt, without the chat template
${SAMPLING_HELP}  --json                print {"type":"chunk"} as text arrives, then {"type":"result"}
`,
  options: { ...SAMPLING_FLAGS, raw: { type: 'boolean' } },
  async run(args, signal) {
    const [dir, given] = positionals(args, 'DIR', '[TEXT]') as [string, string | undefined];
    const options = generateOptions(args);
    const input = inputOf(args, given === undefined || given === '-' ? await readAll(process.stdin) : given);
    const llm = await LLM.load(dir, { ...loadOptions(args), signal });
    try {
      const json = args.values.json === true;
      const { text: answer } = await printGeneration(llm.stream(input, { ...options, signal }), { json });
      if (!json && !answer.endsWith('\n')) process.stdout.write('\n');
    } finally {
      await llm.close();
    }
  },
};

function inputOf({ values }: Arguments, given: string): Input {
  const system = text(values, 'system');
  if (values.raw) {
    if (system !== undefined) throw new UsageError('--system is for the chat template, which --raw does not use.');
    return given;
  }
  const messages: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
  return { messages: [...messages, { role: 'user', content: given }] };
}
