// Each way to end, at each stage of an engine's life.
import { setImmediate as turn } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { given, hasChunk, LONG, leave, onError, SCRIPTED, type Way } from '../../../tools/program.js';

export type Stage = 'load' | 'prefill' | 'decode' | 'close';

export interface Work {
  engine: string;
  /** It logs an error, and then takes a while. */
  slowToLoad: string;
  stage: Stage;
  way: Way;
}

const { engine, slowToLoad, stage, way } = given<Work>();

if (stage === 'load') {
  LLM.load(slowToLoad, { ...SCRIPTED, logger: onError(() => leave(way)) });
} else if (stage === 'prefill') {
  const llm = await LLM.load(engine, { maxNumTokens: 16 }); // 250 steps
  llm.generate('x'.repeat(4000), { maxTokens: 1 });
  while (llm.stats().steps < 2) await turn();
  leave(way);
} else if (stage === 'decode') {
  const llm = await LLM.load(engine);
  const generation = llm.stream('x', { ...LONG, maxTokens: 1000 });
  generation.result;
  await hasChunk(generation);
  leave(way);
} else {
  const llm = await LLM.load(engine);
  await hasChunk(llm.stream('x', LONG));
  llm.close();
  leave(way);
}
