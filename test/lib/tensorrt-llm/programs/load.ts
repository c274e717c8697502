import { LLM, LLMError, type LoadOptions } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  options: LoadOptions;
}

// What a load comes to: 'loaded', or the code and message of its error.
const { engine, options } = given<Work>();
try {
  const llm = await LLM.load(engine, options);
  await llm.close();
  tell('loaded');
} catch (error) {
  tell(LLMError.is(error) ? `${error.code} ${error.message}` : String(error));
}
