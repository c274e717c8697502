import { setTimeout as sleep } from 'node:timers/promises';
import { LLM } from 'node-tensorrt-llm';
import { collectGarbage, given, onError, SCRIPTED, tell } from '../../tools/program.js';

export interface Work {
  engine: string;
  logger: 'none' | 'throws' | 'is dropped';
}

const { engine, logger } = given<Work>();

async function loadAndClose(): Promise<void> {
  const dropped = onError(() => {});
  registry.register(dropped, undefined);
  await (await LLM.load(engine, { ...SCRIPTED, logger: dropped })).close();
}

const registry = new FinalizationRegistry(() => {
  tell('freed');
  process.exit();
});

if (logger === 'none') {
  await (await LLM.load(engine, SCRIPTED)).close();
} else if (logger === 'throws') {
  process.on('uncaughtException', ({ message }) => tell(message));
  const throwing = onError(() => {
    throw new Error('mine');
  });
  const llm = await LLM.load(engine, { ...SCRIPTED, logger: throwing });
  tell((await llm.generate({ tokens: [0] }, { maxTokens: 3 })).text);
  await llm.close();
} else {
  await loadAndClose();
  for (let i = 0; i < 100; i++) {
    collectGarbage();
    await sleep(5);
  }
}
