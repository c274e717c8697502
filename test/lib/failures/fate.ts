import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { LLM, LLMError } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY } from '../../tools/engines.js';

/** How each call went: `'well'`, or the code of its error. */
export interface Fate {
  load: string;
  first: string;
  second: string;
  left: string;
  stats: string;
  close: string;
}

/** The life of an LLM of the scripted executor: the calls of Fate one after the other. `left` is a loop that was left. */
export async function fateOf(engine: string): Promise<Fate | { load: string }> {
  let llm: LLM | undefined;
  const load = await howWent(async () => {
    llm = await LLM.load(engine, { executor: { library: SCRIPTED_LIBRARY } });
  });
  if (!llm) return { load };
  const loaded = llm;
  const generate = (): Promise<unknown> => loaded.generate({ tokens: [0] }, { maxTokens: 5 });
  return {
    load,
    first: await howWent(generate),
    second: await howWent(generate),
    left: await howWent(async () => {
      for await (const _ of loaded.stream({ tokens: [0] }, { maxTokens: 100_000 })) break;
    }),
    stats: await howWent(async () => loaded.stats()),
    close: await howWent(() => loaded.close()),
  };
}

const howWent = (call: () => Promise<unknown>): Promise<string> =>
  call().then(
    () => 'well',
    (error: unknown) => (LLMError.is(error) ? error.code : String(error)),
  );

if (!isMainThread) parentPort?.postMessage(await fateOf(workerData));
