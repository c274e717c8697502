import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { LLM, LLMError } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  library: string;
  does: 'ask and close' | 'let the first ask';
  /** A file that is made by a rank which has waited for the first. */
  flag: string;
}

/** Where the load failed, `rank` is null. */
export interface Said {
  rank: number | null;
  said: string;
}

// Of each rank, which mpirun has started.
const { engine, library, does, flag } = given<Work>();

async function run(llm: LLM): Promise<void> {
  const { rank } = llm.info;
  const say = (said: string): void => tell({ rank, said } satisfies Said);
  const asks = (maxTokens: number): Promise<string> =>
    llm.generate({ tokens: [0] }, { maxTokens }).then(
      ({ text }) => text,
      (error: unknown) => (LLMError.is(error) ? error.code : String(error)),
    );
  if (does === 'let the first ask') {
    if (rank === 0) say(String((await asks(500)).length));
    return;
  }
  say(await asks(5));
  if (rank === 0) while (!existsSync(flag)) await sleep(5);
  const close = llm.close();
  if (rank > 0) {
    say(await Promise.race([close.then(() => 'does not wait'), sleep(50, 'waits')]));
    writeFileSync(flag, '');
  }
  await close;
  say('closed');
}

await LLM.load(engine, { executor: { library } }).then(run, ({ code, message }: LLMError) =>
  tell({ rank: null, said: `${code} ${message}` } satisfies Said),
);
