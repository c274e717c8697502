import { setTimeout as sleep } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { given, hasChunk, leave, tell, type Way } from '../../../tools/program.js';
import { workersBelow } from '../../../tools/several-ranks.js';

export interface Work {
  /** For the stage 'load' one that never is loaded. */
  engine: string;
  library: string;
  stage: 'load' | 'decode' | 'idleness';
  way: Way;
}

// Tells the pids of the workers, and ends.
const { engine, library, stage, way } = given<Work>();
const executor = { library };

if (stage === 'load') {
  const controller = new AbortController();
  const load = LLM.load(engine, { executor, signal: controller.signal });
  while (workersBelow(process.pid).length < 2) await sleep(5);
  tell(workersBelow(process.pid));
  controller.abort();
  await load.catch(({ name }: Error) => {
    if (name !== 'AbortError') process.exit(2);
  });
} else {
  const llm = await LLM.load(engine, { executor });
  if (stage === 'decode') await hasChunk(llm.stream({ tokens: [0] }, { maxTokens: 8000 }));
  tell(workersBelow(process.pid));
}
leave(way);
