import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { InMemoryCache } from '@langchain/core/caches';
import {
  AIMessage,
  type AIMessageChunk,
  ChatMessage,
  FunctionMessage,
  HumanMessage,
  SystemMessage,
  type UsageMetadata,
} from '@langchain/core/messages';
import { concat } from '@langchain/core/utils/stream';
import { LLM, LLMError, type Result } from 'node-tensorrt-llm';
import { ChatNodeTensorRTLLM, NodeTensorRTLLMEmbeddings } from 'node-tensorrt-llm/langchain';
import { tinyEngine } from '../../tools/engines.js';
import { withScript } from '../../tools/scripted.js';

const prompt = 'Once upon a time';
const messages = [{ role: 'user', content: prompt }];

let llm: LLM;
let model: ChatNodeTensorRTLLM;
before(async () => {
  llm = await LLM.load(await tinyEngine());
  model = new ChatNodeTensorRTLLM({ llm, model: 'tiny', maxTokens: 8 });
});
after(() => llm.close());

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(setImmediate);
}
const isIdle = (): boolean => llm.stats().activeRequests + llm.stats().queuedRequests === 0;

async function merged(stream: AsyncIterable<AIMessageChunk>): Promise<AIMessageChunk> {
  let whole: AIMessageChunk | undefined;
  for await (const chunk of stream) whole = whole ? concat(whole, chunk) : chunk;
  assert.ok(whole);
  return whole;
}

const usageOf = ({ usage }: Result) => ({
  input_tokens: usage.promptTokens,
  output_tokens: usage.completionTokens,
  total_tokens: usage.totalTokens,
});
/** LangChain's own type of it is never under exactOptionalPropertyTypes. */
const usageIn = (message: AIMessage | AIMessageChunk) => message.usage_metadata as UsageMetadata | undefined;
/** Without the details: how many of the prompt's tokens were in the KV cache depends on what ran before. */
const countsIn = (message: AIMessage | AIMessageChunk) => {
  const { input_tokens, output_tokens, total_tokens, input_token_details } = usageIn(message) ?? {};
  assert.equal(typeof input_token_details?.cache_read, 'number');
  return { input_tokens, output_tokens, total_tokens };
};

test('invoke gives what generate() gives, with usage, finish reason and timing', async () => {
  const result = await llm.generate({ messages }, { maxTokens: 8 });
  const message = await model.invoke(prompt);
  assert.ok(AIMessage.isInstance(message));
  assert.equal(message.content, result.text);
  assert.deepEqual(countsIn(message), usageOf(result));
  const { model_name, finish_reason, timing } = message.response_metadata;
  assert.deepEqual([model_name, finish_reason], ['tiny', 'length']);
  assert.ok((timing as { totalMs: number }).totalMs > 0);
});

test('stream gives the same text, and usage on its last chunk only', async () => {
  const result = await llm.generate({ messages }, { maxTokens: 8 });
  const chunks: AIMessageChunk[] = [];
  for await (const chunk of await model.stream(prompt)) chunks.push(chunk);
  assert.equal(chunks.map(({ content }) => content).join(''), result.text);
  assert.deepEqual(
    chunks.filter((chunk) => usageIn(chunk) !== undefined),
    chunks.slice(-1),
  );
  const whole = chunks.reduce((before, next) => concat(before, next));
  assert.deepEqual(countsIn(whole), usageOf(result));
  assert.equal(whole.response_metadata.finish_reason, 'length');
});

test('batch answers each input', async () => {
  const { text } = await llm.generate({ messages }, { maxTokens: 8 });
  const answers = await model.batch([prompt, 'Hello', prompt]);
  assert.equal(answers.length, 3);
  assert.deepEqual([answers[0]?.content, answers[2]?.content], [text, text]);
});

test('a conversation goes to the chat template, and two messages of one role in a row too', async () => {
  const conversation = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'hello' },
    { role: 'user', content: 'hello' },
    { role: 'assistant', content: 'hey' },
    { role: 'user', content: 'how are you' },
  ];
  const { text } = await llm.generate({ messages: conversation }, { maxTokens: 8 });
  const { content } = await model.invoke([
    new SystemMessage('Be brief.'),
    new ChatMessage('hello', 'user'),
    new HumanMessage({ content: [{ type: 'text', text: 'hello' }] }),
    new AIMessage('hey'),
    ['human', 'how are you'],
  ]);
  assert.equal(content, text);
});

test('its options are those of generate(), of the model and of a call', async () => {
  const options = { temperature: 1.2, topK: 40, seed: 3, topLogprobs: 2 };
  const { text, outputs, stopReason } = await llm.generate({ messages }, { ...options, stop: 'e', maxTokens: 20 });
  const sampled = new ChatNodeTensorRTLLM({ llm, ...options, seed: 4, maxTokens: 20 });
  const { content, response_metadata } = await sampled.invoke(prompt, { seed: 3, stop: ['e'] });
  assert.equal(content, text);
  assert.deepEqual(response_metadata.logprobs, outputs[0]?.logprobs);
  assert.equal(response_metadata.stop_reason, stopReason);
});

test('fields of other models, such as apiKey and streaming, are ignored', async () => {
  const fields = { llm, maxTokens: 2, apiKey: 'secret', streaming: true };
  assert.equal(usageIn(await new ChatNodeTensorRTLLM(fields).invoke(prompt))?.output_tokens, 2);
});

test('getLsParams names provider, model, temperature, output limit and stop strings', () => {
  const tuned = new ChatNodeTensorRTLLM({ llm, model: 'tiny', temperature: 0.5, stop: ['x'] });
  const params = tuned.getLsParams({ maxTokens: 3 });
  assert.deepEqual(params, {
    ls_provider: 'node-tensorrt-llm',
    ls_model_name: 'tiny',
    ls_model_type: 'chat',
    ls_temperature: 0.5,
    ls_max_tokens: 3,
    ls_stop: ['x'],
  });
  assert.deepEqual(tuned.invocationParams({ maxTokens: 3 } as never), {
    model: 'tiny',
    temperature: 0.5,
    stop: ['x'],
    maxTokens: 3,
  });
});

test('profile has the limits of the engine, and says that this model calls no tools', () => {
  const { maxInputLen, maxSeqLen } = llm.info;
  const profile = { maxInputTokens: maxInputLen, maxOutputTokens: maxSeqLen, toolCalling: false };
  assert.deepEqual(model.profile, { ...profile, toolChoice: false, structuredOutput: false });
});

test('models with other defaults do not share cached answers', async () => {
  const cache = new InMemoryCache();
  const tokens = async (maxTokens: number) =>
    usageIn(await new ChatNodeTensorRTLLM({ llm, maxTokens, cache }).invoke(prompt))?.output_tokens;
  assert.deepEqual([await tokens(2), await tokens(3), await tokens(2)], [2, 3, 0]);
});

test('handleLLMNewToken hears each chunk, and the last has the usage', async () => {
  const { text } = await llm.generate({ messages }, { maxTokens: 8 });
  const told: { token: string; usage: UsageMetadata | undefined }[] = [];
  const callbacks = [
    {
      handleLLMNewToken(token: string, ...[, , , , fields]: unknown[]) {
        const { message } = (fields as { chunk: { message: AIMessageChunk } }).chunk;
        told.push({ token, usage: usageIn(message) });
      },
    },
  ];
  const whole = await merged(await model.stream(prompt, { callbacks }));
  assert.equal(told.map(({ token }) => token).join(''), text);
  assert.equal(told.filter(({ usage }) => usage !== undefined).length, 1);
  assert.equal(told.at(-1)?.usage?.total_tokens, usageIn(whole)?.total_tokens);
});

test('streamEvents gives text, usage and the message', async () => {
  const { text, usage } = await llm.generate({ messages }, { maxTokens: 8 });
  const events = model.streamEvents(prompt);
  let streamed = '';
  for await (const token of events.text) streamed += token;
  assert.equal(streamed, text);
  assert.equal((await events.usage)?.total_tokens, usage.totalTokens);
  const seen: string[] = [];
  for await (const { event, data } of model.streamEvents(prompt, { version: 'v2' })) {
    if (event === 'on_chat_model_end') assert.equal(data.output.usage_metadata.total_tokens, usage.totalTokens);
    if (event !== seen.at(-1)) seen.push(event);
  }
  assert.deepEqual(seen, ['on_chat_model_start', 'on_chat_model_stream', 'on_chat_model_end']);
});

test('an aborted signal starts nothing, and one that aborts ends the request in the engine', async () => {
  const { steps } = llm.stats();
  const long = new ChatNodeTensorRTLLM({ llm });
  await assert.rejects(long.invoke(prompt, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  await assert.rejects(async () => merged(await long.stream(prompt, { signal: AbortSignal.abort() })));
  assert.equal(llm.stats().steps, steps);
  const invoked = new AbortController();
  const answer = long.invoke(prompt, { signal: invoked.signal });
  await until(() => llm.stats().activeRequests > 0);
  invoked.abort();
  await assert.rejects(answer, { name: 'AbortError' });
  const streamed = new AbortController();
  await assert.rejects(async () => {
    for await (const _ of await long.stream(prompt, { signal: streamed.signal })) streamed.abort();
  });
  await until(isIdle);
});

test('leaving the loop over a stream ends the request in the engine', async () => {
  for await (const _ of await new ChatNodeTensorRTLLM({ llm }).stream(prompt)) break;
  await until(isIdle);
});

test('a failure rejects with its LLMError', async () => {
  await withScript({ fail_every: 1 }, async (failing) => {
    const scripted = new ChatNodeTensorRTLLM({ llm: failing });
    for (const answer of [scripted.invoke(prompt), scripted.stream(prompt).then(merged)]) {
      const error = await answer.catch((thrown: unknown) => thrown);
      assert.ok(LLMError.is(error) && error.code === 'ERR_OUT_OF_MEMORY', String(error));
    }
  });
});

test('an image, and a message that has no role, rejects with the number of its message', async () => {
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
  await assert.rejects(model.invoke([new HumanMessage('hi'), new HumanMessage({ content: [image] })]), {
    code: 'ERR_INVALID_INPUT',
    message: /Message 1 has a part of type image/,
  });
  await assert.rejects(model.invoke([new FunctionMessage({ name: 'f', content: '1' })]), {
    code: 'ERR_INVALID_INPUT',
    message: /Message 0 is of type function/,
  });
});

test('embeddings are those of embed(), for documents and a query', async () => {
  const texts = ['Once upon', 'a time'];
  for (const options of [{}, { pooling: 'mean', normalize: false }] as const) {
    const { embeddings: wanted } = await llm.embed(texts, options);
    const embeddings = new NodeTensorRTLLMEmbeddings({ llm, ...options });
    assert.deepEqual(
      await embeddings.embedDocuments(texts),
      wanted.map((each) => [...each]),
    );
    assert.deepEqual(await embeddings.embedQuery('Once upon'), [...(wanted[0] as Float32Array)]);
  }
  assert.deepEqual(await new NodeTensorRTLLMEmbeddings({ llm }).embedDocuments([]), []);
});
