// A worker of an engine of two ranks ends while requests run.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { ends, runProgram } from '../../tools/programs.js';
import { recordingLogger } from '../../tools/recording-logger.js';
import { lettersOf } from '../../tools/scripted.js';
import { lettersEngine, MPI_LIBRARY, withoutMpi, workersBelow, writeScript } from '../../tools/several-ranks.js';
import type { Work as WorkersEnd } from './programs/workers-end.js';

const endingBy = (worker_ends_by: string) => ({ step_ms: 5, worker_ends_by, worker_ends_at_step: 10 });

describe('a worker that ends', { skip: withoutMpi }, () => {
  for (const how of ['exit', 'SIGKILL', 'MPI_Abort', 'abort']) {
    test(`by ${how} fails what an isolated executor ran, and the next requests run`, async () => {
      const dir = await lettersEngine({ script: endingBy(how) });
      const llm = await LLM.load(dir, { executor: { library: MPI_LIBRARY }, isolation: 'process' });
      await writeScript(dir, {}); // for the next workers
      const running = [0, 1, 2].map((token) => llm.stream({ tokens: [token] }, { maxTokens: 500 }));
      for (const [token, { result }] of running.entries()) {
        await assert.rejects(result, (error) => {
          assert.ok(failsWith('ERR_EXECUTOR_FAILED')(error));
          const text = (error as { partial?: { text: string } }).partial?.text ?? '';
          return text.length > 0 && lettersOf(token, text.length) === text;
        });
      }
      assert.equal((await llm.generate({ tokens: [0] }, { maxTokens: 30 })).text, lettersOf(0, 30));
      await llm.close();
    });
  }

  test('and the workers before it are told to a logger', async () => {
    const { logger, lines } = recordingLogger();
    const dir = await lettersEngine({ script: endingBy('exit') });
    const llm = await LLM.load(dir, { executor: { library: MPI_LIBRARY }, isolation: 'process', logger });
    const pids = workersBelow(process.pid).sort((a, b) => a - b);
    await writeScript(dir, {});
    await assert.rejects(llm.generate({ tokens: [0] }, { maxTokens: 500 }), failsWith('ERR_EXECUTOR_FAILED'));
    await llm.close();
    assert.match(lines[0] ?? '', /^info: .*: orchestrator mode, 2 ranks on 2 x Stand-in H100$/);
    assert.equal(lines[1], `info: Its ranks run in the worker processes ${pids.join(', ')}.`);
    assert.match(lines[2] ?? '', /^error: A worker process of the engine has ended/);
  });

  // 'abort' ends this process soon after; see docs/several-gpus.md.
  for (const how of ['exit', 'SIGKILL', 'MPI_Abort']) {
    test(`by ${how} fails what this process ran, and another load works`, async () => {
      const work: WorkersEnd = {
        dying: await lettersEngine({ script: endingBy(how) }),
        healthy: await lettersEngine(),
        library: MPI_LIBRARY,
      };
      const exit = await runProgram(new URL('./programs/workers-end.js', import.meta.url), work);
      ends(exit, { status: 0, told: [...Array(4).fill('ERR_EXECUTOR_FAILED'), 'abcde'] });
    });
  }
});
