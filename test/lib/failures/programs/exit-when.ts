import { LLM } from 'node-tensorrt-llm';
import { given, hasChunk, LONG, SCRIPTED, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  llm: 'idle' | 'running' | 'closed' | 'deaf';
}

const work = given<Work>();
const llm = await LLM.load(work.engine, work.llm === 'deaf' ? SCRIPTED : {});

if (work.llm === 'idle') {
  tell('loaded');
} else if (work.llm === 'running') {
  llm.generate('hello', { ...LONG, maxTokens: 50 }).then(({ usage }) => tell(usage.completionTokens));
} else if (work.llm === 'closed') {
  await llm.close();
  process.exit(7);
} else {
  await hasChunk(llm.stream({ tokens: [0] }, { maxTokens: 1_000_000 }));
  process.exit(7);
}
