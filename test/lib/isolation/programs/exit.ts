import { LLM } from 'node-tensorrt-llm';
import { hostPid } from '../../../tools/hosts.js';
import { given, hasChunk, LONG, leave, onError, SCRIPTED, tell, type Way } from '../../../tools/program.js';

export interface Work {
  engine: string;
  /** It logs an error, and then takes for ever. */
  slowToLoad: string;
  stage: 'load' | 'decode' | 'idleness';
  way: Way;
}

// Tells the pid of the host, and ends.
const { engine, slowToLoad, stage, way } = given<Work>();
const end = (): void => {
  tell(hostPid());
  leave(way);
};

if (stage === 'load') {
  LLM.load(slowToLoad, { ...SCRIPTED, isolation: 'process', logger: onError(end) });
} else {
  const llm = await LLM.load(engine, { isolation: 'process' });
  if (stage === 'decode') {
    const generation = llm.stream('x', LONG);
    generation.result.catch(() => {});
    await hasChunk(generation);
  }
  end();
}
