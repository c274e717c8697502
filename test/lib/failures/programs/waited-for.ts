import { setTimeout as sleep } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { collectGarbage, given, SCRIPTED, tell } from '../../../tools/program.js';

const INPUT = { tokens: [0] };
const OPTIONS = { maxTokens: 100 };

const length = async (pieces: AsyncIterable<{ text: string }>): Promise<number> => {
  let sum = 0;
  for await (const { text } of pieces) sum += text.length;
  return sum;
};

/** Each resolves with the length of what it got. */
const WAITS = {
  result: (llm: LLM) => llm.stream(INPUT, OPTIONS).result.then(({ text }) => text.length),
  reader: (llm: LLM) => length(llm.stream(INPUT, OPTIONS)),
  textStream: async (llm: LLM) => {
    let sum = 0;
    for await (const text of llm.stream(INPUT, OPTIONS).textStream) sum += text.length;
    return sum;
  },
  'web stream': (llm: LLM) => length(llm.stream(INPUT, OPTIONS).toReadableStream()),
};

export interface Work {
  engine: string;
  waits: keyof typeof WAITS;
  /** Whether the LLM is held until the end. */
  llm: 'held' | 'dropped';
}

const work = given<Work>();
let ended = false;
let llm: LLM | undefined = await LLM.load(work.engine, SCRIPTED);
WAITS[work.waits](llm).then((count) => {
  ended = true;
  tell(count);
});
const held = work.llm === 'held' ? llm : undefined;
llm = undefined;
while (!ended) {
  collectGarbage();
  await sleep(1);
}
held?.stats();
