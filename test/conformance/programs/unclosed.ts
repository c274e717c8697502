import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { given, tell } from '../../tools/program.js';

export interface Work {
  loadArguments: readonly [dir: string, options: LoadOptions];
  what: 'idle' | 'running' | 'limits of what has ended';
}

// Closes nothing.
const { loadArguments, what } = given<Work>();
const llm = await LLM.load(...loadArguments);

if (what === 'idle') {
  await llm.generate({ tokens: [1] }, { maxTokens: 2 });
  tell('done');
} else if (what === 'running') {
  llm
    .generate({ tokens: [1] }, { maxTokens: 30, ignoreEos: true, temperature: 0 })
    .then(({ usage }) => tell(usage.completionTokens));
} else {
  const limits = { timeoutMs: 2_000_000_000, queueTimeoutMs: 2_000_000_000 };
  await llm.generate({ tokens: [1] }, { maxTokens: 2, ...limits });
  llm.stream({ tokens: [1] }, limits).abort();
  tell('done');
}
