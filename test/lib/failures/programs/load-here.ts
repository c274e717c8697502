import { closeSync, openSync, rmdirSync } from 'node:fs';
import { convert, LLM, LLMError, type LoadOptions } from 'node-tensorrt-llm';
import { askCuda } from '#lib/machine/cuda.js';
import { given, tell } from '../../../tools/program.js';

/** What is done in this process, which has less than others: one of these. */
export type Work = { removedDirectory?: string; openFiles?: number } & (
  | { load: string; options?: LoadOptions }
  | { convert: [source: string, out: string] }
  | { askCuda: [host: string, library: string] }
);

const work = given<Work>();
if (work.removedDirectory !== undefined) {
  process.chdir(work.removedDirectory);
  rmdirSync(work.removedDirectory);
}

if (work.openFiles !== undefined) {
  const open: number[] = [];
  try {
    for (;;) open.push(openSync('/dev/null', 'r'));
  } catch {
    for (const file of open.splice(-work.openFiles)) closeSync(file);
  }
}

async function run(): Promise<unknown> {
  if ('convert' in work) return convert(...work.convert);
  if ('askCuda' in work) return askCuda(...work.askCuda);
  const llm = await LLM.load(work.load, work.options);
  const { usage } = await llm.generate({ tokens: [3, 4] }, { maxTokens: 2, ignoreEos: true });
  await llm.close();
  return usage.completionTokens;
}

await run().then(tell, (error: unknown) =>
  tell(LLMError.is(error) ? `${error.code}: ${error.message}` : `untyped: ${error}`),
);
