import { setImmediate } from 'node:timers/promises';
import { LLM, LLMError } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  /** Those of test/fake-host, one after the other. */
  faults: string[];
  /** Of a fault, rows that come behind the request's end: so many are waited for. */
  unknownRows?: Readonly<Record<string, number>>;
}

/** What became of one request to a host that answers so. */
export interface Outcome {
  fault: string;
  /** Of the load, or of the request; undefined where neither failed. */
  code: string | undefined;
  message: string;
  text: string | undefined;
  unknownRows: number;
  mostResidentMb: number;
}

const { engine, faults, unknownRows = {} } = given<Work>();
for (const fault of faults) {
  process.env.FAKE_HOST = fault;
  const outcome: Outcome = { fault, code: undefined, message: '', text: undefined, unknownRows: 0, mostResidentMb: 0 };
  try {
    await using llm = await LLM.load(engine, { isolation: 'process', isolationEnv: ['FAKE_HOST'] });
    try {
      const { text } = await llm.generate({ tokens: [1, 2] }, { maxTokens: 3, promptLogprobs: true });
      outcome.text = text;
      while (llm.stats().unknownRows < (unknownRows[fault] ?? 0)) await setImmediate();
    } finally {
      outcome.unknownRows = llm.stats().unknownRows;
    }
  } catch (error) {
    if (!LLMError.is(error)) throw error;
    outcome.code = error.code;
    outcome.message = error.message;
  }
  outcome.mostResidentMb = process.resourceUsage().maxRSS / 1024;
  tell(outcome);
}
