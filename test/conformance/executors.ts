import { readdir, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { LoadOptions } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, temporaryDirectory, tinyEngine } from '../tools/engines.js';

/**
 * What an executor is and no capability says. 'a model': its tokens follow from the prompt and the options of sampling.
 * 'batch invariance': what runs beside a request changes no bit of it.
 */
export type Trait = 'a model' | 'batch invariance';

export interface ExecutorUnderTest {
  /** What LLM.load takes for it. */
  readonly options: LoadOptions;
  readonly traits: readonly Trait[];
  /** The engine it is tested with where none is named. */
  readonly engine: () => Promise<string>;
}

/** By the names that `npm run conformance -- --executor` takes. */
export const executors: Readonly<Record<string, ExecutorUnderTest>> = {
  cpu: { options: { executor: 'cpu' }, traits: ['a model', 'batch invariance'], engine: tinyEngine },
  'cpu-isolated': {
    options: { executor: 'cpu', isolation: 'process' },
    traits: ['a model', 'batch invariance'],
    engine: tinyEngine,
  },
  scripted: {
    options: { executor: { library: SCRIPTED_LIBRARY } },
    traits: ['batch invariance'],
    engine: () => scriptedEngine({ step_ms: 1 }), // so that a request of many tokens can be seen running
  },
};

/** The engine with another generation_config.json; its other files are the same ones. */
export async function engineWith(engine: string, generationConfig: object): Promise<string> {
  const dir = await temporaryDirectory();
  for (const name of await readdir(engine)) {
    if (name !== 'generation_config.json') await symlink(resolve(engine, name), join(dir, name));
  }
  await writeFile(join(dir, 'generation_config.json'), JSON.stringify(generationConfig));
  return dir;
}
