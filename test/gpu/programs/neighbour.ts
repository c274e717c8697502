// A second process on the GPU: tells that it has loaded, how many texts its requests gave, and how many of these were different.
import { LLM } from 'node-tensorrt-llm';
import { given, tell } from '../../tools/program.js';

export interface Work {
  engine: string;
  prompt: number[];
  requests: number;
  options: { maxTokens: number; temperature: number; ignoreEos: boolean };
}

const { engine, prompt, requests, options } = given<Work>();
const llm = await LLM.load(engine, { executor: 'cuda' });
const texts: string[] = [];
for (let i = 0; i < requests; i++) {
  const { outputs } = await llm.generate({ tokens: prompt }, options);
  texts.push(JSON.stringify(Array.from(outputs[0]?.tokens ?? [])));
}
await llm.close();
tell({ requests: texts.length, different: new Set(texts).size, tokens: JSON.parse(texts[0] ?? '[]') });
