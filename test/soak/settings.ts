import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorCode, LLM, type LoadOptions } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, tinyEngineWith } from '../tools/engines.js';

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
  /** Its host process is killed in the middle of the round. */
  killsHost?: true;
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
  {
    name: 'cpu, small steps',
    executor: 'cpu',
    load: { threads: 2, maxNumTokens: 32, maxBatchSize: 16, decoding: { promptLookup: {} } },
  },
  { name: 'scripted, deaf', executor: 'scripted', script: { deaf: true, tokens_per_step: 2 } },
  {
    name: 'cpu, isolated, its host killed',
    executor: 'cpu',
    load: { threads: 1, isolation: 'process' },
    mayFailWith: 'ERR_EXECUTOR_FAILED',
    killsHost: true,
  },
  { name: 'scripted, isolated', executor: 'scripted', script: { tokens_per_step: 3 }, load: { isolation: 'process' } },
];

/** The tiny model's, but for a variable `worst`, with which it takes all the steps, memory and time it gets. */
const TEMPLATE = `{%- if worst == 'loops' -%}
{%- for i in range(30000) -%}{%- for j in range(30000) -%}{%- endfor -%}{%- endfor -%}
{%- elif worst == 'doubling' -%}
{%- set ns = namespace(x='x') -%}{%- for i in range(60) -%}{%- set ns.x = ns.x ~ ns.x -%}{%- endfor -%}{{ ns.x }}
{%- elif worst == 'range' -%}
{%- for i in range(1000000000) -%}{%- endfor -%}
{%- endif -%}
{%- for message in messages -%}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}`;

const engines = new Map<Setting['script'], Promise<string>>();

/** The engine of the tiny model, with what the scripted executor does where there is a script. */
export function soakEngine(script?: Setting['script']): Promise<string> {
  const made = engines.get(script);
  if (made) return made;
  const engine = (
    script ? scriptedEngine(script) : tinyEngineWith({ bos_token_id: 257, eos_token_id: [258, 256] })
  ).then(async (dir) => {
    await writeFile(join(dir, 'chat_template.jinja'), TEMPLATE);
    return dir;
  });
  engines.set(script, engine);
  return engine;
}

export async function loadSetting(setting: Setting, options: LoadOptions = {}): Promise<LLM> {
  const executor = setting.script ? { library: SCRIPTED_LIBRARY } : ('cpu' as const);
  const load = setting.script ? setting.load : { ...setting.load, peftCache: {} };
  return LLM.load(await soakEngine(setting.script), { ...load, ...options, executor });
}
