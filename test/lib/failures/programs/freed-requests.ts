import { setTimeout as sleep } from 'node:timers/promises';
import { type GenerateOptions, LLM } from 'node-tensorrt-llm';
import { collectGarbage, given, LONG, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
}

const registry = new FinalizationRegistry(() => tell('freed'));
const llm = await LLM.load(given<Work>().engine);

async function request(options: GenerateOptions): Promise<object> {
  const generation = llm.stream('x', { ...LONG, ...options });
  registry.register(generation, undefined);
  return { generation, settled: await generation.result.catch(() => {}) };
}

async function abortWithWhatLeadsBack(): Promise<void> {
  const controller = new AbortController();
  const asked = request({ signal: controller.signal });
  controller.abort(asked);
  await asked;
}

await request({ maxTokens: 2 });
await abortWithWhatLeadsBack();
for (let i = 0; i < 20; i++) {
  collectGarbage();
  await sleep(5);
}
await llm.close();
