import { setTimeout as sleep } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { collectGarbage, given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
}

const registry = new FinalizationRegistry(() => {
  tell('freed');
  process.exit();
});

async function loadAndDrop(): Promise<void> {
  registry.register(await LLM.load(given<Work>().engine), 0);
}

await loadAndDrop();
for (let i = 0; i < 200; i++) {
  collectGarbage();
  await sleep(5);
}
