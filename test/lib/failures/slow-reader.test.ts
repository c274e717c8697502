import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { lettersOf, withScript } from '../../tools/scripted.js';

const TOKENS = 400;

test('a slow reader stalls none of 63 fast ones, gets what came since in one chunk, and loses nothing', () =>
  withScript({ step_ms: 2 }, async (llm) => {
    const slow = llm.stream({ tokens: [0] }, { maxTokens: TOKENS });
    const fast = Array.from({ length: 63 }, async (_, i) => {
      let text = '';
      for await (const chunk of llm.stream({ tokens: [i] }, { maxTokens: TOKENS })) text += chunk.text;
      return text;
    });
    let reads = 0;
    let text = '';
    for await (const chunk of slow) {
      assert.equal(chunk.text.length, chunk.tokens.length); // the tokens of just this text: nothing is kept twice
      text += chunk.text;
      reads++;
      if (reads < 3) await sleep(100);
      if (reads === 3) await Promise.all(fast);
    }
    assert.ok(reads <= 5, `${reads} chunks: what came during a pause was not merged`);
    assert.equal(text, lettersOf(0, TOKENS));
    for (const [i, each] of (await Promise.all(fast)).entries()) assert.equal(each, lettersOf(i, TOKENS));
    assert.equal((await slow.result).text, text);
  }));

test('what waits for a reader that never reads is no more than its text', () =>
  withScript({ tokens_per_step: 1000 }, async (llm) => {
    const tokens = 500_000;
    const unread = llm.stream({ tokens: [0] }, { maxTokens: tokens });
    await unread.result;
    const chunks = [];
    for await (const chunk of unread) chunks.push(chunk);
    assert.equal(chunks.length, 1);
    assert.equal(chunks[0]?.text, lettersOf(0, tokens));
    assert.equal(chunks[0]?.tokens.length, tokens);
  }));
