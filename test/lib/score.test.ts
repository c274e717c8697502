import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';

let llm: LLM;
before(async () => {
  llm = await LLM.load(await tinyEngine());
});
after(() => llm.close());

const tokensOf = async (prompt: Parameters<LLM['score']>[0], continuation: Parameters<LLM['score']>[1][number]) =>
  (await llm.score(prompt, [continuation])).scores[0]?.tokens.map(({ token }) => token);

test('a continuation of a text is what it adds to the tokens, with the spaces at the end of the prompt', async () => {
  const encode = async (text: string, addSpecialTokens = false) => [
    ...(await llm.tokenizer.encode(text, { addSpecialTokens })),
  ];
  const whole = await encode('Once upon a time', true);
  assert.deepEqual(await tokensOf('Once upon', ' a time'), whole.slice((await encode('Once upon', true)).length));
  assert.deepEqual(await tokensOf('Once upon ', 'a time'), await tokensOf('Once upon', ' a time'));
  assert.deepEqual(await tokensOf({ tokens: whole }, 'then'), await encode('then'));
  assert.deepEqual(await tokensOf('Once', { tokens: [70, 71] }), [70, 71]);
});

test('a score names the tokens it adds up', async () => {
  const [score] = (await llm.score('Once', [' upon'])).scores;
  assert.ok(score);
  assert.equal(score.tokens.map(({ text }) => text).join(''), ' upon');
  assert.equal(
    score.logprob,
    score.tokens.reduce((sum, { logprob }) => sum + logprob, 0),
  );
  assert.ok(score.tokens.every((token) => !('top' in token)));
});

test('what cannot be scored is refused by name', async () => {
  const score = llm.score.bind(llm) as (...args: unknown[]) => Promise<unknown>;
  await assert.rejects(score('a', []), failsWith('ERR_INVALID_INPUT', /^continuations is empty;/));
  await assert.rejects(score('a', 'b'), failsWith('ERR_INVALID_INPUT', /^continuations is "b";/));
  await assert.rejects(score('a', ['b', '']), failsWith('ERR_INVALID_INPUT', /^continuations\[1\] has no token;/));
  await assert.rejects(score('a', [3]), failsWith('ERR_INVALID_INPUT', /^continuations\[0\] is 3;/));
  await assert.rejects(score({ tokens: [1, -1] }, ['b']), failsWith('ERR_INVALID_INPUT', /^tokens\[1\] is -1;/));
  await assert.rejects(
    score({ tokens: [] }, [{ tokens: [5] }]),
    failsWith('ERR_EMPTY_PROMPT', /before a continuation/),
  );
  await assert.rejects(score('a', ['b'], { topK: 3 }), failsWith('ERR_INVALID_OPTION', /topK/));
});
