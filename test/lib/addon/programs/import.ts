import type * as Package from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  /** The package to import. */
  specifier: string;
  /** What process.platform is to say. Default: the truth. */
  platform?: string;
}

const { engine, specifier, platform } = given<Work>();
if (platform) Object.defineProperty(process, 'platform', { value: platform });
const { LLM } = (await import(specifier)) as typeof Package;
tell('imported');
await LLM.load(engine).catch(({ name, code, message }: Package.LLMError) => tell(`${name} ${code} ${message}`));
