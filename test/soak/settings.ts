import { type ErrorCode, LLM, type LoadOptions } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngine } from '../tools/engines.js';

/** What a round runs on. */
export interface Setting {
  name: string;
  executor: 'cpu' | 'scripted';
  load?: LoadOptions;
  script?: Parameters<typeof scriptedEngine>[0];
  /** What any request may fail with here. */
  mayFailWith?: ErrorCode;
  /** The script makes rows of requests nobody knows. */
  unknownRows?: true;
}

/** They take turns. */
export const SETTINGS: readonly [Setting, ...Setting[]] = [
  { name: 'cpu', executor: 'cpu', load: { threads: 1 } },
  { name: 'scripted', executor: 'scripted', script: { tokens_per_step: 3 } },
  { name: 'cpu, few KV blocks', executor: 'cpu', load: { threads: 1, kvCache: { maxTokens: 640 }, maxBatchSize: 32 } },
  { name: 'scripted, 1 ms a step', executor: 'scripted', script: { tokens_per_step: 4, step_ms: 1 } },
  {
    name: 'cpu, short queue',
    executor: 'cpu',
    load: { threads: 2, maxBatchSize: 4, maxQueueSize: 40 },
    mayFailWith: 'ERR_QUEUE_FULL',
  },
  {
    name: 'scripted, faulty',
    executor: 'scripted',
    script: { fail_every: 9, late_rows: true, doubled_finals: true, unknown_rows: true, tokens_per_step: 2 },
    mayFailWith: 'ERR_OUT_OF_MEMORY',
    unknownRows: true,
  },
  { name: 'cpu, small steps', executor: 'cpu', load: { threads: 2, maxNumTokens: 32, maxBatchSize: 16 } },
  { name: 'scripted, deaf', executor: 'scripted', script: { deaf: true, tokens_per_step: 2 } },
];

const scriptedEngines = new Map<Setting, Promise<string>>();

export async function loadSetting(setting: Setting, options: LoadOptions = {}): Promise<LLM> {
  if (!setting.script) return LLM.load(await tinyEngine(), { ...setting.load, ...options });
  const dir = scriptedEngines.get(setting) ?? scriptedEngine(setting.script);
  scriptedEngines.set(setting, dir);
  return LLM.load(await dir, { ...setting.load, ...options, executor: { library: SCRIPTED_LIBRARY } });
}
