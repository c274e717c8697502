import { LLM } from 'node-tensorrt-llm';
import { given, leave, onError, SCRIPTED, tell, type Way } from '../../../tools/program.js';

export interface Work {
  engine: string;
  way: Way;
}

const { engine, way } = given<Work>();
const controller = new AbortController();
const logger = onError(() => controller.abort('enough')); // the executor has begun
await LLM.load(engine, { ...SCRIPTED, logger, signal: controller.signal }).catch(tell);
leave(way);
