import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LLM, type LLMError } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';

describe('maxLogitsBytes', () => {
  let llm: LLM;
  let rowBytes: number;
  before(async () => {
    llm = await LLM.load(await tinyEngine(), { threads: 1 });
    rowBytes = 4 * llm.info.vocabSize;
  });
  after(() => llm.close());
  const tokens = [1, 2, 3, 4, 5];
  const greedy = { temperature: 0, ignoreEos: true };

  test('refuses the logits of a prompt before anything of it is computed', async () => {
    const { steps } = llm.stats();
    const asked = { ...greedy, returnContextLogits: true, maxLogitsBytes: 5 * rowBytes - 1 };
    await assert.rejects(
      llm.generate({ tokens }, asked),
      failsWith(
        'ERR_LOGITS_LIMIT',
        RegExp(`take ${5 * rowBytes} bytes; expected at most maxLogitsBytes, ${5 * rowBytes - 1}`),
      ),
    );
    assert.equal(llm.stats().steps, steps);
  });

  test('ends a request whose output comes to more, with what it had, and no other', async () => {
    const options = { ...greedy, maxTokens: 20 };
    const limited = llm.stream({ tokens }, { ...options, returnGenerationLogits: true, maxLogitsBytes: 7 * rowBytes });
    const others = [
      llm.generate({ tokens }, { ...options, returnGenerationLogits: true }),
      llm.generate({ tokens }, options),
    ];
    let error: unknown;
    let read = '';
    try {
      for await (const { text } of limited) read += text;
    } catch (thrown) {
      error = thrown;
    }
    assert.ok(failsWith('ERR_LOGITS_LIMIT', /returnGenerationLogits/, String(8 * rowBytes))(error));
    await assert.rejects(limited.result, (rejected) => rejected === error);
    const { partial } = error as LLMError;
    assert.equal(partial?.outputs[0]?.generationLogits?.rows, 7);
    assert.equal(partial?.outputs[0]?.tokens.length, 7);
    assert.equal(partial?.text, read);
    const [whole, plain] = await Promise.all(others);
    assert.equal(whole?.outputs[0]?.generationLogits?.rows, 20);
    assert.equal(whole?.text, plain?.text);
    assert.ok(whole?.text.startsWith(read));
  });

  test('counts the logits of the prompt and of all outputs together', async () => {
    const asked = { ...greedy, maxTokens: 3, n: 2, returnContextLogits: true, returnGenerationLogits: true };
    const rows = 5 + 2 * 3;
    await llm.generate({ tokens }, { ...asked, maxLogitsBytes: rows * rowBytes });
    const over = llm.generate({ tokens }, { ...asked, maxLogitsBytes: rows * rowBytes - 1 });
    await assert.rejects(over, failsWith('ERR_LOGITS_LIMIT'));
  });
});
