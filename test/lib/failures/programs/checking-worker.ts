import { parentPort, workerData } from 'node:worker_threads';
import { type GenerateOptions, LLM, type LLMHandle } from 'node-tensorrt-llm';

export interface Checking {
  handle: LLMHandle;
  /** The text of each token as a prompt. */
  expected: string[];
  options: GenerateOptions;
}

// Four requests at a time until it is told to stop. For each it posts 'right', or the text that is wrong.
const { handle, expected, options } = workerData as Checking;
const llm = LLM.attach(handle);
let running = true;
parentPort?.once('message', () => {
  running = false;
});

async function check(token: number): Promise<void> {
  let text = '';
  for await (const chunk of llm.stream({ tokens: [token] }, options)) text += chunk.text;
  parentPort?.postMessage(text === expected[token] ? 'right' : text);
}

for (let i = 0; running; i++) await Promise.all([0, 1, 2, 3].map((j) => check((i * 4 + j) % expected.length)));
