import type * as Package from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  /** A copy of the package that lacks the host program. */
  copy: string;
}

const { engine, copy } = given<Work>();
const { LLM, LLMError } = (await import(`${copy}/dist/index.js`)) as typeof Package;
const error = await LLM.load(engine, { isolation: 'process' }).catch((reason: unknown) => reason);
tell(LLMError.is(error) ? { code: error.code, message: error.message } : String(error));
await (await LLM.load(engine)).close();
