// What lm-eval's local-completions sends and reads, request by request.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler, type Handler } from 'node-tensorrt-llm/server';
import { tinyEngine } from '../../tools/engines.js';

let llm: LLM;
let handler: Handler;
before(async () => {
  llm = await LLM.load(await tinyEngine());
  handler = createHandler({ tiny: llm });
});
after(() => llm.close());

async function post<Answer>(path: string, body: object): Promise<Answer> {
  const response = await handler(
    new Request(`http://localhost${path}`, { method: 'POST', body: JSON.stringify(body) }),
  );
  assert.equal(response.status, 200);
  return (await response.json()) as Answer;
}

interface Completion {
  choices: {
    index: number;
    text: string;
    finish_reason: string;
    logprobs: {
      tokens: string[];
      token_logprobs: (number | null)[];
      top_logprobs: (Record<string, number> | null)[];
      text_offset: number[];
    };
  }[];
}

const LOGLIKELIHOOD = { model: 'tiny', temperature: 0, max_tokens: 1, logprobs: 1, seed: 1234, echo: true };

test('token_logprobs[ctxlen:-1] of an echoed prompt are the logprobs of its continuation', async () => {
  const prompts = ['Once upon a time', 'a'.repeat(40)];
  const tokens = await Promise.all(prompts.map(async (text) => [...(await llm.tokenizer.encode(text))]));
  const { choices } = await post<Completion>('/v1/completions', { ...LOGLIKELIHOOD, prompt: tokens });
  assert.equal(choices.length, 2);
  for (const [i, { index, logprobs }] of choices.entries()) {
    assert.equal(index, i);
    const prompt = tokens[i] as number[];
    const { promptLogprobs = [] } = await llm.generate({ tokens: prompt }, { promptLogprobs: true, maxTokens: 1 });
    assert.equal(logprobs.token_logprobs.length, prompt.length + 1);
    assert.deepEqual(
      logprobs.token_logprobs.slice(0, -1),
      promptLogprobs.map((each) => each?.logprob ?? null),
    );
    assert.equal(logprobs.top_logprobs[0], null);
    assert.equal(logprobs.tokens.slice(0, -1).join(''), prompts[i]);
    assert.equal(logprobs.text_offset[3], 3);
  }
});

test('a token is the greedy one where its logprob equals the largest of top_logprobs', async () => {
  const { outputs } = await llm.generate('Once', { maxTokens: 4, ignoreEos: true, temperature: 0 });
  const greedy = [...(await llm.tokenizer.encode('Once')), ...(outputs[0]?.tokens ?? [])];
  const { choices } = await post<Completion>('/v1/completions', { ...LOGLIKELIHOOD, prompt: [greedy] });
  const { token_logprobs: logprobs, top_logprobs: top } = choices[0]?.logprobs ?? {
    token_logprobs: [],
    top_logprobs: [],
  };
  const isGreedy = (i: number): boolean => Math.max(...Object.values(top[i] ?? {})) === logprobs[i];
  for (let i = greedy.length - 4; i < greedy.length; i++) assert.ok(isGreedy(i), `token ${i}`);
  assert.ok(![1, 2, 3].every(isGreedy), 'the prompt was greedy too');
});

test('there is one new token even where that is an end token, and then the finish reason is stop', async () => {
  const endsAt = { logit_bias: { [llm.info.endIds[0] as number]: 100 } };
  const prompt = [[79, 110, 99, 101]];
  const { choices } = await post<Completion>('/v1/completions', { ...LOGLIKELIHOOD, ...endsAt, prompt });
  const [choice] = choices;
  assert.equal(choice?.logprobs.token_logprobs.length, 5);
  assert.equal(choice?.finish_reason, 'stop');
  assert.equal(choice?.text, 'Once');
});

test('max_tokens: 0 gives the prompt alone', async () => {
  const { choices } = await post<Completion>('/v1/completions', { ...LOGLIKELIHOOD, max_tokens: 0, prompt: 'Once' });
  assert.equal(choices[0]?.text, 'Once');
  assert.equal(choices[0]?.finish_reason, 'length');
  assert.deepEqual(choices[0]?.logprobs.tokens, ['O', 'n', 'c', 'e']);
});

test('tokenizer_info, tokenize and detokenize do what its tokenizer "auto" needs', async () => {
  const info = (await (await handler(new Request('http://localhost/tokenizer_info'))).json()) as Record<string, string>;
  assert.equal(info.eos_token, '<|im_end|>');
  assert.equal(info.bos_token, '<|im_start|>');
  assert.equal(typeof info.tokenizer_class, 'string');
  assert.match(String(info.chat_template), /im_start/);
  const { tokens, count } = await post<{ tokens: number[]; count: number }>('/tokenize', {
    prompt: 'test',
    add_special_tokens: false,
  });
  assert.deepEqual(tokens, [...Buffer.from('test')]);
  assert.equal(count, 4);
  assert.deepEqual(await post('/detokenize', { tokens: [...tokens, 258] }), { prompt: 'test<|im_end|>' });
});

test('tokenize of messages gives the tokens of encodeChat()', async () => {
  const messages = [{ role: 'user', content: 'hi' }];
  const { tokens } = await post<{ tokens: number[] }>('/tokenize', { messages });
  assert.deepEqual(tokens, [...(await llm.tokenizer.encodeChat(messages))]);
});
