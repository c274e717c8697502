import assert from 'node:assert/strict';
import type { LLM } from 'node-tensorrt-llm';
import { GREEDY, onlyOutput, PROMPT, readWhole, textOf, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const OPTIONS = { ...GREEDY, maxTokens: 48 } as const;

/** Text of the answer to `PROMPT` that spans tokens, and where it comes first. */
async function findStop(llm: LLM, from: number): Promise<{ whole: string; stop: string; at: number }> {
  const whole = (await llm.generate(PROMPT, OPTIONS)).text;
  for (let at = from; at + 3 <= whole.length; at++) {
    const stop = whole.slice(at, at + 3);
    if (whole.indexOf(stop) === at && !/[\ufffd\ud800-\udfff]/.test(stop)) return { whole, stop, at };
  }
  assert.fail(`no text to stop at in ${JSON.stringify(whole)}`);
}

conformance([], 'a stop string ends the text before it, and is the stopReason', async ({ llm }) => {
  const { whole, stop, at } = await findStop(llm, 2);
  const given: (string | string[])[] = [stop, [stop], ['never in it', stop]];
  for (const each of given) {
    const { chunks, result } = await readWhole(llm.stream(PROMPT, { ...OPTIONS, stop: each }));
    assert.equal(textOf(chunks), whole.slice(0, at), 'no part of the stop string was given out');
    assert.deepEqual(
      [result.text, result.finishReason, result.stopReason, chunks.at(-1)?.finishReason],
      [whole.slice(0, at), 'stop', stop, 'stop'],
    );
  }
});

conformance(['minTokens'], 'minTokens holds back a stop string until so many tokens have come', async ({ llm }) => {
  const whole = (await llm.generate(PROMPT, OPTIONS)).text;
  const stop =
    [...whole].find((letter) => letter !== '\ufffd' && whole.indexOf(letter) !== whole.lastIndexOf(letter)) ?? '';
  const ended = tokensOf(await llm.generate(PROMPT, { ...OPTIONS, stop })).length;
  for (const minTokens of [ended, ended + 1]) {
    const result = await llm.generate(PROMPT, { ...OPTIONS, stop, minTokens });
    const { length } = tokensOf(result);
    assert.equal(result.stopReason, stop);
    assert.equal(length, minTokens === ended ? ended : Math.max(length, minTokens));
    assert.equal(result.text, whole.slice(0, result.text.length));
    assert.equal(whole.indexOf(stop, result.text.length), result.text.length);
  }
  assert.equal(
    (await llm.generate(PROMPT, { ...OPTIONS, stop, minTokens: OPTIONS.maxTokens })).text.includes(stop),
    true,
  );
});

conformance([], 'of several stop strings the one that is complete first ends the text', async ({ llm }) => {
  const first = await findStop(llm, 2);
  const second = await findStop(llm, first.at + 4);
  for (const stop of [
    [first.stop, second.stop],
    [second.stop, first.stop],
  ]) {
    const { text, stopReason } = await llm.generate(PROMPT, { ...OPTIONS, stop });
    assert.deepEqual([text, stopReason], [first.whole.slice(0, first.at), first.stop]);
  }
});

conformance(
  [],
  'the tokens of a request that a stop string ended are those up to the one that completed it',
  async ({ llm }) => {
    const { stop } = await findStop(llm, 2);
    const whole = tokensOf(await llm.generate(PROMPT, OPTIONS));
    const result = await llm.generate(PROMPT, { ...OPTIONS, stop });
    const tokens = tokensOf(result);
    assert.deepEqual(tokens, whole.slice(0, tokens.length));
    assert.equal(result.usage.completionTokens, tokens.length);
    assert.ok(llm.tokenizer.decode(tokens).includes(stop));
    assert.ok(!llm.tokenizer.decode(tokens.slice(0, -1)).includes(stop));
  },
);

conformance([], 'text that begins as a stop string does and goes on otherwise is given out whole', async ({ llm }) => {
  const { whole, stop } = await findStop(llm, 2);
  const { text, finishReason } = await llm.generate(PROMPT, { ...OPTIONS, stop: `${stop}\u0000` });
  assert.deepEqual([text, finishReason], [whole, 'length']);
});

conformance(['stopTokens'], 'a stop token ends a request, as its last token and the stopReason', async ({ llm }) => {
  const whole = tokensOf(await llm.generate(PROMPT, OPTIONS));
  const at = whole.findIndex((token, i) => i > 2 && whole.indexOf(token) === i);
  const result = await llm.generate(PROMPT, { ...OPTIONS, stopTokens: [whole[at] as number] });
  assert.deepEqual(tokensOf(result), whole.slice(0, at + 1));
  assert.deepEqual([result.finishReason, result.stopReason], ['stop', whole[at]]);
  assert.equal(result.text, llm.tokenizer.decode(onlyOutput(result).tokens));
});

conformance(
  ['stopTokens'],
  'a run of stop tokens ends a request where all of it has come in a row',
  async ({ llm }) => {
    const whole = tokensOf(await llm.generate(PROMPT, OPTIONS));
    const key = (i: number) => `${whole[i]} ${whole[i + 1]}`;
    const isNew = (i: number) => whole[i] !== whole[i + 1] && whole.findIndex((_, j) => key(j) === key(i)) === i;
    const at = whole.findIndex((_, i) => i > 2 && isNew(i));
    const run = whole.slice(at, at + 2);
    const backwards = run.toReversed();
    const result = await llm.generate(PROMPT, { ...OPTIONS, stopTokens: [[...backwards, ...run], run] });
    assert.deepEqual(tokensOf(result), whole.slice(0, at + 2));
    assert.deepEqual([result.finishReason, result.stopReason], ['stop', run[1]]);
  },
);

conformance(['a model'], 'a stop string that the prompt has does not end the request', async ({ llm }) => {
  const { text } = await llm.generate(PROMPT, OPTIONS);
  assert.ok(!text.includes(PROMPT));
  assert.equal((await llm.generate(PROMPT, { ...OPTIONS, stop: PROMPT })).text, text);
});
