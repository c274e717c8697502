import { existsSync } from 'node:fs';
import { cp, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { LoadOptions } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';

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
  'tensorrt-llm-0.13': overStandIn('0.13', '0.13.0'),
  'tensorrt-llm-1.2': overStandIn('1.2', '1.2.1'),
  'tensorrt-llm-1.2-isolated': overStandIn('1.2', '1.2.1', { isolation: 'process' }),
};

/** Why an executor cannot be tested here. */
export function lacks({ options: { executor } }: ExecutorUnderTest): string | undefined {
  const isBuilt = typeof executor !== 'object' || existsSync(executor.library);
  return isBuilt ? undefined : 'its library is not built: npm run test:native builds it';
}

/** TensorRT-LLM's executor over the stand-in of test/stand-in, which runs the tiny engine's checkpoint. */
function overStandIn(name: string, version: string, options: LoadOptions = {}): ExecutorUnderTest {
  const library = join(PROJECT_ROOT, `build/tests/tensorrt-llm-${name}/libexecutor_tensorrt_llm.so`);
  return {
    options: { executor: { library }, ...options },
    traits: ['a model', 'batch invariance'],
    engine: async () => {
      const dir = join(await temporaryDirectory(), 'engine');
      await cp(await tinyEngine(), dir, { recursive: true });
      const config = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
      config.version = version;
      Object.assign(config.build_config, { gather_context_logits: true, gather_generation_logits: true });
      await writeFile(join(dir, 'config.json'), JSON.stringify(config));
      await writeFile(join(dir, 'rank0.engine'), 'the weights are in rank0.safetensors');
      return dir;
    },
  };
}

/** The engine with another generation_config.json; its other files are the same ones. */
export async function engineWith(engine: string, generationConfig: object): Promise<string> {
  const dir = await temporaryDirectory();
  for (const name of await readdir(engine)) {
    if (name !== 'generation_config.json') await symlink(resolve(engine, name), join(dir, name));
  }
  await writeFile(join(dir, 'generation_config.json'), JSON.stringify(generationConfig));
  return dir;
}
