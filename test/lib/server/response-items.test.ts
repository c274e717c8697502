import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Chunk, LLM, type Result } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import OpenAI from 'openai';
import type { ResponseCreateParamsNonStreaming, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { tinyEngine } from '../../tools/engines.js';
import { type HandlerServer, serveHandler } from '../../tools/serve-handler.js';

/** What the model says next. */
let chunks: Partial<Chunk>[] = [];
/** What it was guided by. */
const seen: unknown[] = [];

let llm: LLM;
let server: HandlerServer;
let client: OpenAI;
before(async () => {
  llm = await LLM.load(await tinyEngine());
  const talking = {
    info: llm.info,
    capabilities: { ...llm.capabilities, guided: true },
    tokenizer: llm.tokenizer,
    stream: (...[, options]: Parameters<LLM['stream']>) => {
      seen.push(options?.guided);
      return generation();
    },
  } as unknown as LLM;
  server = await serveHandler(createHandler({ talking }));
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => {
  await server.close();
  await llm.close();
});

/** A generation that gives `chunks`. */
function generation() {
  const join = (part: 'text' | 'reasoning') => chunks.map((chunk) => chunk[part] ?? '').join('');
  const calls: NonNullable<Result['toolCalls']> = [];
  for (const { index, id = '', name = '', arguments: given } of chunks.flatMap(({ toolCalls = [] }) => toolCalls)) {
    calls[index] ??= { id, name, arguments: '' };
    calls[index].arguments += given;
  }
  const usage = { promptTokens: 5, cachedTokens: 2, completionTokens: 7, totalTokens: 12 };
  return {
    async *[Symbol.asyncIterator]() {
      for (const chunk of chunks) yield { index: 0, text: '', ...chunk };
    },
    result: Promise.resolve({
      text: join('text'),
      ...(join('reasoning') && { reasoning: join('reasoning') }),
      ...(calls.length > 0 && { toolCalls: calls }),
      finishReason: chunks.at(-1)?.finishReason,
      usage,
    }),
  };
}

const asked = { model: 'talking', input: 'hi' };
const create = (fields: Partial<ResponseCreateParamsNonStreaming> = {}) =>
  client.responses.create({ ...asked, ...fields });

async function eventsOf(): Promise<ResponseStreamEvent[]> {
  const events: ResponseStreamEvent[] = [];
  for await (const event of await client.responses.create({ ...asked, stream: true })) events.push(event);
  return events;
}

const typesOf = (events: readonly ResponseStreamEvent[]) => events.map(({ type }) => type.replace('response.', ''));

test('reasoning, text and calls are items of their own, streamed or not', async () => {
  chunks = [
    { reasoning: 'Let ' },
    { reasoning: 'me see.', text: 'I will' },
    { text: ' look.', toolCalls: [{ index: 0, id: 'call_a', name: 'weather', arguments: '' }] },
    { toolCalls: [{ index: 0, arguments: '{"city":' }] },
    {
      toolCalls: [
        { index: 0, arguments: '"Rome"}' },
        { index: 1, id: 'call_b', name: 'time', arguments: '{}' },
      ],
      finishReason: 'stop',
    },
  ];
  const events = await eventsOf();
  assert.deepEqual(typesOf(events), [
    'created',
    'in_progress',
    'output_item.added',
    'content_part.added',
    'reasoning_text.delta',
    'reasoning_text.delta',
    'reasoning_text.done',
    'content_part.done',
    'output_item.done',
    'output_item.added',
    'content_part.added',
    'output_text.delta',
    'output_text.delta',
    'output_text.done',
    'content_part.done',
    'output_item.done',
    'output_item.added',
    'function_call_arguments.delta',
    'function_call_arguments.delta',
    'function_call_arguments.done',
    'output_item.done',
    'output_item.added',
    'function_call_arguments.delta',
    'function_call_arguments.done',
    'output_item.done',
    'completed',
  ]);
  const withoutIds = (items: readonly object[]) => items.map((item) => ({ ...item, id: undefined }));
  const expected = [
    { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'Let me see.' }] },
    {
      type: 'message',
      role: 'assistant',
      content: [{ type: 'output_text', text: 'I will look.', annotations: [], logprobs: [] }],
    },
    { type: 'function_call', call_id: 'call_a', name: 'weather', arguments: '{"city":"Rome"}' },
    { type: 'function_call', call_id: 'call_b', name: 'time', arguments: '{}' },
  ].map((item) => ({ id: undefined, status: 'completed', ...item }));
  const last = events.at(-1);
  assert.ok(last?.type === 'response.completed');
  assert.deepEqual(withoutIds(last.response.output), expected);
  const done = events.flatMap((event) => (event.type === 'response.output_item.done' ? [event.item] : []));
  assert.deepEqual(done, last.response.output);
  assert.deepEqual(withoutIds((await create()).output), expected);
  // The client puts its own snapshot together from the events.
  const final = await client.responses.stream(asked).finalResponse();
  assert.equal(final.output.length, 4);
});

test('an answer without text is a message without text', async () => {
  chunks = [{ finishReason: 'stop' }];
  const types = typesOf(await eventsOf());
  assert.deepEqual(types.slice(2), [
    'output_item.added',
    'content_part.added',
    'output_text.done',
    'content_part.done',
    'output_item.done',
    'completed',
  ]);
  const { output_text: text, output, status } = await create();
  assert.deepEqual([text, output.length, status], ['', 1, 'completed']);
});

test('text.format becomes guided where the executor has it', async () => {
  seen.length = 0;
  chunks = [{ text: '{}', finishReason: 'stop' }];
  const schema = { type: 'object' };
  for (const format of [
    { type: 'text' },
    { type: 'json_object' },
    { type: 'json_schema', name: 'x', schema },
  ] as const) {
    await create({ text: { format } });
  }
  assert.deepEqual(seen, [undefined, { json: true }, { jsonSchema: schema }]);
});
