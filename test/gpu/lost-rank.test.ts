// A GPU that is lost under one rank of an engine of two. Skipped where there is none.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { SECOND_TRAP, TRAP, TRAPPING_LIBRARY } from '../tools/gpu.js';
import { gpus, placesOf, prompt, skip } from '../tools/gpu-ranks.js';
import { hasChunk, LONG } from '../tools/program.js';

describe('a GPU that is lost under a rank', { skip }, () => {
  for (const { parallel } of placesOf(2)) {
    const isShared = parallel !== undefined;
    test(`fails all requests, and the next ones run in a new process: ${isShared ? 'one GPU' : 'a GPU each'}`, async () => {
      const llm = await LLM.load(await tinyEngine(2), {
        executor: { library: TRAPPING_LIBRARY },
        isolation: 'process',
        parallel,
      });
      const tokensOf = async (): Promise<number[]> => {
        const { outputs } = await llm.generate({ tokens: prompt(20) }, { ...LONG, maxTokens: 50 });
        return Array.from(outputs[0]?.tokens ?? []);
      };
      const expected = await tokensOf();
      for (const trap of isShared || gpus < 2 ? [TRAP] : [TRAP, SECOND_TRAP]) {
        const running = Array.from({ length: 4 }, () => llm.stream('abc', LONG));
        await Promise.all(running.map(hasChunk));
        const trapping = llm.generate(trap, LONG);
        for (const result of [...running.map((generation) => generation.result), trapping]) {
          await assert.rejects(result, failsWith('ERR_EXECUTOR_FAILED'));
        }
        assert.deepEqual(await tokensOf(), expected);
      }
      assert.equal(llm.stats().unknownRows, 0);
      await llm.close();
    });
  }
});
