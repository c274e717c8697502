import { existsSync } from 'node:fs';
import { readdir, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { LoadOptions } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine, temporaryDirectory, tinyEngine } from '../tools/engines.js';
import {
  GATHERS_LOGITS,
  STAND_IN_VERSIONS,
  type StandInVersion,
  standInEngine,
  standInLibrary,
} from '../tools/stand-in.js';

/**
 * What an executor is and no capability says. 'a model': its tokens follow from the prompt and the options of sampling.
 * 'batch invariance': what runs beside a request changes no bit of it. 'chunks': it computes a prompt in as many steps as
 * maxNumTokens asks for. 'draft model': a smaller model drafts for it. 'dummy weights': it makes weights of its own.
 * 'prefix cache': it counts exactly what it found of a prompt. 'host memory': it takes kvCache.hostBytes.
 */
export type Trait =
  | 'a model'
  | 'batch invariance'
  | 'chunks'
  | 'draft model'
  | 'dummy weights'
  | 'host memory'
  | 'prefix cache';

export interface ExecutorUnderTest {
  /** What LLM.load takes for it. */
  readonly options: LoadOptions;
  readonly traits: readonly Trait[];
  /** The engine it is tested with where none is named. */
  readonly engine: () => Promise<string>;
}

/** Why an executor cannot be tested here. */
export function lacks({ options: { executor } }: ExecutorUnderTest): string | undefined {
  if (typeof executor !== 'object') return undefined;
  const { library } = executor;
  return existsSync(library) ? undefined : 'its library is not built: npm run test:native builds it';
}

/** TensorRT-LLM's executor over the stand-in of test/stand-in, which runs the tiny engine's checkpoint. */
const overStandIn = (version: StandInVersion, options: LoadOptions = {}): ExecutorUnderTest => ({
  options: { executor: { library: standInLibrary(version) }, ...options },
  traits: ['a model', 'batch invariance'],
  engine: () => standInEngine({ version: STAND_IN_VERSIONS[version], build: GATHERS_LOGITS }),
});

const EVENTS = 1000;

/** By the names that `npm run conformance -- --executor` takes. */
export const executors: Readonly<Record<string, ExecutorUnderTest>> = {
  cpu: {
    options: { executor: 'cpu', peftCache: {}, kvCache: { eventBufferSize: EVENTS } },
    traits: ['a model', 'batch invariance', 'chunks', 'draft model', 'dummy weights', 'prefix cache'],
    engine: tinyEngine,
  },
  'cpu-int8-kv': {
    options: { executor: 'cpu', kvCache: { dtype: 'int8' } },
    traits: ['a model', 'batch invariance', 'chunks', 'draft model', 'prefix cache'],
    engine: tinyEngine,
  },
  'cpu-isolated': {
    options: { executor: 'cpu', isolation: 'process', peftCache: {}, kvCache: { eventBufferSize: EVENTS } },
    traits: ['a model', 'batch invariance', 'chunks', 'draft model', 'dummy weights', 'prefix cache'],
    engine: tinyEngine,
  },
  // Without batchInvariant a row's logits differ in their last bits with the rows beside it, and with what of its prompt is
  // computed: of a prompt that comes again, all of it here.
  cuda: {
    options: { executor: 'cuda', peftCache: {}, kvCache: { partialReuse: false, eventBufferSize: EVENTS } },
    traits: ['a model', 'chunks', 'draft model', 'dummy weights', 'host memory', 'prefix cache'],
    engine: tinyEngine,
  },
  'cuda-batch-invariant': {
    options: { executor: 'cuda', batchInvariant: true, peftCache: {}, kvCache: { eventBufferSize: EVENTS } },
    traits: ['a model', 'batch invariance', 'chunks', 'draft model', 'dummy weights', 'host memory', 'prefix cache'],
    engine: tinyEngine,
  },
  'cuda-int8-kv': {
    options: {
      executor: 'cuda',
      peftCache: {},
      kvCache: { dtype: 'int8', partialReuse: false, eventBufferSize: EVENTS },
    },
    traits: ['a model', 'chunks', 'draft model', 'dummy weights', 'host memory', 'prefix cache'],
    engine: tinyEngine,
  },
  'cuda-isolated': {
    options: {
      executor: 'cuda',
      isolation: 'process',
      peftCache: {},
      kvCache: { partialReuse: false, eventBufferSize: EVENTS },
    },
    traits: ['a model', 'chunks', 'draft model', 'dummy weights', 'host memory', 'prefix cache'],
    engine: tinyEngine,
  },
  'cuda-two-ranks': {
    options: { executor: 'cuda', peftCache: {}, kvCache: { partialReuse: false, eventBufferSize: EVENTS } }, // a GPU for each rank
    traits: ['a model', 'chunks', 'draft model', 'dummy weights', 'host memory', 'prefix cache'],
    engine: () => tinyEngine(2),
  },
  scripted: {
    options: { executor: { library: SCRIPTED_LIBRARY } },
    traits: ['batch invariance', 'chunks'],
    engine: () => scriptedEngine({ step_ms: 1 }), // so that a request of many tokens can be seen running
  },
  'tensorrt-llm-0.13': overStandIn('0.13'),
  'tensorrt-llm-1.2': overStandIn('1.2', { kvCache: { eventBufferSize: EVENTS } }),
  'tensorrt-llm-1.2-isolated': overStandIn('1.2', { isolation: 'process', kvCache: { eventBufferSize: EVENTS } }),
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
