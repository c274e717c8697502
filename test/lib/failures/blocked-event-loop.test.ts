import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lettersOf, withScript } from '../../tools/scripted.js';

test('an event loop that was busy for 400 steps of 64 streams is woken once, with all that came, and the text is exact', () =>
  withScript({ step_ms: 5 }, async (llm) => {
    const generations = Array.from({ length: 64 }, (_, i) => llm.stream({ tokens: [i] }, { maxTokens: 500 }));
    await generations[0]?.[Symbol.asyncIterator]().next();
    const before = llm.stats();
    while (llm.stats().steps < before.steps + 400); // 2 s
    assert.ok(llm.stats().wakeups - before.wakeups <= 1);
    for (const [i, { result }] of generations.entries()) assert.equal((await result).text, lettersOf(i, 500));
  }));
