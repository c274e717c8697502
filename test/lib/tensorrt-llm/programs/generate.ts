import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  options: LoadOptions;
}

const { engine, options } = given<Work>();
const llm = await LLM.load(engine, options);
tell((await llm.generate({ tokens: [0] }, { maxTokens: 5 })).text);
await llm.close();
