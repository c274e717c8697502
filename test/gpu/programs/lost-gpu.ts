// Loses the GPU while requests run, and reports how they end, and what a later request, close() and another load do.
import { LLM, LLMError } from 'node-tensorrt-llm';
import { TRAP, TRAPPING_LIBRARY } from '../../tools/gpu.js';
import { given, hasChunk, LONG, tell } from '../../tools/program.js';

export interface Work {
  engine: string;
}

const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'fulfilled',
    (error: unknown) => (LLMError.is(error) ? `${error.code}: ${error.message}` : String(error)),
  );

const { engine } = given<Work>();
const llm = await LLM.load(engine, { executor: { library: TRAPPING_LIBRARY } });
const running = Array.from({ length: 4 }, () => llm.stream('abc', LONG));
await Promise.all(running.map(hasChunk));
const trap = llm.generate(TRAP, LONG);
tell(await Promise.all([...running.map(({ result }) => result), trap].map(outcome)));
tell(await outcome(llm.generate('abc', LONG)));
tell(await outcome(llm.close()));
tell(await outcome(LLM.load(engine, { executor: { library: TRAPPING_LIBRARY } })));
