import { LLM, LLMError } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  /** Whose workers end while requests run. */
  dying: string;
  healthy: string;
  library: string;
}

const { dying, healthy, library } = given<Work>();
const codeOf = (error: unknown): string => (LLMError.is(error) ? error.code : String(error));

const llm = await LLM.load(dying, { executor: { library } });
const running = [0, 1, 2].map((token) => llm.generate({ tokens: [token] }, { maxTokens: 500 }));
for (const each of await Promise.allSettled(running)) {
  tell(each.status === 'rejected' ? codeOf(each.reason) : each.status);
}
tell(await llm.generate({ tokens: [0] }).then(() => 'fulfilled', codeOf));
await llm.close();
const another = await LLM.load(healthy, { executor: { library } });
tell((await another.generate({ tokens: [0] }, { maxTokens: 5 })).text);
await another.close();
