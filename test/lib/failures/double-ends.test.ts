import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import type { LLM, RequestEndEvent } from 'node-tensorrt-llm';
import { lettersOf, type Script, withScript } from '../../tools/scripted.js';

const END = 'node-tensorrt-llm:request:end';
const CASES = 40;
const REQUESTS = 100;

/** Park and Miller's generator, 0 to below 1: the cases are the same at every run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** Starts a request that ends in one of the ways there are, and returns when it has. */
async function runOne(llm: LLM, i: number, random: () => number): Promise<void> {
  const way = Math.floor(random() * 5);
  const maxTokens = 1 + Math.floor(random() * 40);
  const controller = new AbortController();
  const options = { maxTokens, signal: controller.signal, ...(way === 1 ? { stop: 'klm' } : {}) };
  const generation = llm.stream({ tokens: [i] }, options);
  let text = '';
  let ended = false;
  try {
    for await (const chunk of generation) {
      assert.equal(ended, false, 'a chunk came behind the one with the finishReason');
      text += chunk.text;
      ended = chunk.finishReason !== undefined;
      if (way === 2) generation.abort();
      if (way === 3) controller.abort('mine');
      if (way === 4) break;
    }
  } catch (error) {
    if (error !== 'mine') assert.match(String(error), /scripted failure/);
  }
  assert.ok(lettersOf(i, maxTokens).startsWith(text));
  const [result] = await Promise.allSettled([generation.result]);
  if (way === 0 && result.status === 'fulfilled') assert.equal(result.value.text, lettersOf(i, maxTokens));
}

test('late rows, doubled finals and rows of nobody: every request ends once, whatever it ends by', async () => {
  for (let seed = 1; seed <= CASES; seed++) {
    const random = randomOf(seed * 7919);
    const chance = (): boolean => random() < 0.5;
    const script: Script = {
      late_rows: chance(),
      doubled_finals: chance(),
      unknown_rows: chance(),
      deaf: chance(),
      tokens_per_step: 1 + Math.floor(random() * 8),
      fail_every: chance() ? 7 : 0,
    };
    const endings = new Map<number, number>();
    const count = (event: unknown): void => {
      const { requestId } = event as RequestEndEvent;
      endings.set(requestId, (endings.get(requestId) ?? 0) + 1);
    };
    subscribe(END, count);
    try {
      await withScript(script, async (llm) => {
        await Promise.all(Array.from({ length: REQUESTS }, (_, i) => runOne(llm, i, random)));
        // Whatever comes for those that have ended comes now: the last request of all is behind it.
        await llm.generate({ tokens: [0] }, { maxTokens: 50 }).catch(() => {});
        if (script.unknown_rows || script.doubled_finals || script.late_rows) assert.ok(llm.stats().unknownRows > 0);
      });
    } finally {
      unsubscribe(END, count);
    }
    assert.equal(endings.size, REQUESTS + 1, JSON.stringify({ seed, script }));
    assert.ok(
      [...endings.values()].every((times) => times === 1),
      JSON.stringify({ seed, script }),
    );
  }
});
