import { setTimeout as sleep } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
}

const llm = await LLM.load(given<Work>().engine);
let caught = 0;
await llm.generate(['x', '', 'y', ''], { maxTokens: 3 }).catch(() => caught++);
await sleep(20);
tell({ caught });
await llm.close();
