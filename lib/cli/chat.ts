import { createInterface, type Interface } from 'node:readline/promises';
import { type ChatMessage, LLM } from '../index.js';
import { type Command, positionals, text } from './command.js';
import { printGeneration } from './print-generation.js';
import { generateOptions, loadOptions, SAMPLING_FLAGS, SAMPLING_HELP } from './sampling-flags.js';

const HINT = 'Ctrl-C stops an answer; /clear starts a new conversation; /exit or Ctrl-D leaves.\n';

export const chat: Command = {
  name: 'chat',
  usage: 'chat DIR',
  summary: 'chat with a model',
  help: `Usage: node-tensorrt-llm chat DIR [OPTIONS]

Reads one message per line and streams the answer of the engine in DIR. The model sees the whole conversation.
${HINT}
${SAMPLING_HELP}  --json                for each message print {"type":"chunk"} as text arrives, then {"type":"result"}
`,
  options: SAMPLING_FLAGS,
  async run(args, signal) {
    const [dir] = positionals(args, 'DIR') as [string];
    const options = generateOptions(args);
    const json = args.values.json === true;
    const system = text(args.values, 'system');
    const opening: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
    const llm = await LLM.load(dir, { ...loadOptions(args), signal });
    const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
    const lines = createInterface({ input: process.stdin, ...(terminal ? { output: process.stdout } : {}) });
    const interrupts = new Interrupts(lines, signal);
    if (terminal) process.stdout.write(HINT);
    let messages = [...opening];
    try {
      for await (const line of prompted(lines, terminal)) {
        if (line === '/exit') break;
        if (line === '/clear') messages = [...opening];
        if (line === '' || line === '/clear') continue;
        messages.push({ role: 'user', content: line });
        const generation = llm.stream({ messages }, options);
        interrupts.onInterrupt = () => generation.abort();
        const result = await printGeneration(generation, { json });
        interrupts.onInterrupt = undefined;
        messages.push({ role: 'assistant', content: result.text, reasoning_content: result.reasoning });
        if (!json) process.stdout.write('\n');
      }
    } finally {
      lines.close();
      await llm.close();
    }
  },
};

/** Ctrl-C stops the answer that runs; without one it leaves, like Ctrl-D. */
class Interrupts {
  onInterrupt: (() => void) | undefined;

  constructor(lines: Interface, signal: AbortSignal) {
    const interrupt = (): void => {
      if (this.onInterrupt) this.onInterrupt();
      else lines.close();
    };
    lines.on('SIGINT', interrupt); // on a terminal readline takes the key
    signal.addEventListener('abort', interrupt, { once: true });
  }
}

async function* prompted(lines: Interface, terminal: boolean): AsyncGenerator<string> {
  const prompt = (): void => {
    if (terminal) lines.prompt();
  };
  prompt();
  for await (const line of lines) {
    yield line.trim();
    prompt();
  }
}
