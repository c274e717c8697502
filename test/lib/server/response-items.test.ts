import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { GenerateOptions, LLM } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import OpenAI from 'openai';
import type {
  ResponseCreateParamsNonStreaming,
  ResponseInputItem,
  ResponseStreamEvent,
} from 'openai/resources/responses/responses';
import { loadEcho } from '../../tools/scripted.js';
import { type HandlerServer, serveHandler } from '../../tools/serve-handler.js';

/** The model says the last message. */
const TEMPLATE = '{# <think> <tool_call> #}{{ tools or "" }}{{ messages[-1].content }}';

let llm: LLM;
let server: HandlerServer;
let client: OpenAI;
/** Options of the requests to the model that has guided decoding. */
const asked: GenerateOptions[] = [];
before(async () => {
  llm = await loadEcho(TEMPLATE);
  const capable = (guided: boolean): LLM =>
    ({
      info: llm.info,
      capabilities: { ...llm.capabilities, guided },
      tokenizer: llm.tokenizer,
      stream: (...[input, options = {}]: Parameters<LLM['stream']>) => {
        asked.push(options);
        return llm.stream(input, { ...options, guided: undefined });
      },
    }) as unknown as LLM;
  server = await serveHandler(createHandler({ plain: llm, guided: capable(true), unguided: capable(false) }));
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => {
  await server.close();
  await llm.close();
});

const saying = (text: string) => `\x02${text}\x03`;
const ROME = '{"city": "Rome"}';
const CALL = `<tool_call>\n{"name": "weather", "arguments": ${ROME}}\n</tool_call>`;
const tools = ['weather', 'clock'].map((name) => ({
  type: 'function' as const,
  name,
  parameters: { type: 'object' },
  strict: null,
}));

type Asked = Partial<ResponseCreateParamsNonStreaming>;
const create = (text: string, fields: Asked = {}) =>
  client.responses.create({ model: 'plain', input: saying(text), tools, ...fields });

async function eventsOf(text: string, fields: Asked = {}): Promise<ResponseStreamEvent[]> {
  const request = { model: 'plain', input: saying(text), tools, ...fields, stream: true as const };
  const events: ResponseStreamEvent[] = [];
  for await (const event of await client.responses.create(request)) events.push(event);
  return events;
}

/** Deltas that follow each other count as one. */
const typesOf = (events: readonly ResponseStreamEvent[]): string[] =>
  events
    .map(({ type }) => type.replace('response.', ''))
    .filter((type, i, types) => !type.endsWith('.delta') || type !== types[i - 1]);

const withoutIds = (items: readonly object[]) => items.map((item) => ({ ...item, id: undefined, call_id: undefined }));

const PART_EVENTS = (text: string) => [
  'output_item.added',
  'content_part.added',
  `${text}.delta`,
  `${text}.done`,
  'content_part.done',
  'output_item.done',
];
const CALL_EVENTS = [
  'output_item.added',
  'function_call_arguments.delta',
  'function_call_arguments.done',
  'output_item.done',
];

test('reasoning, text and calls are items of their own, streamed or not', async () => {
  const answer = `<think>\nhm\n</think>\n\nI will look.\n${CALL}\n${CALL}`;
  const events = await eventsOf(answer);
  assert.deepEqual(typesOf(events), [
    'created',
    'in_progress',
    ...PART_EVENTS('reasoning_text'),
    ...PART_EVENTS('output_text'),
    ...CALL_EVENTS,
    ...CALL_EVENTS,
    'completed',
  ]);
  const last = events.at(-1);
  assert.ok(last?.type === 'response.completed');
  const { output } = last.response;
  const [reasoning, message, ...calls] = output;
  assert.ok(reasoning?.type === 'reasoning' && message?.type === 'message');
  assert.deepEqual(reasoning.content, [{ type: 'reasoning_text', text: 'hm' }]);
  const [part] = message.content;
  assert.equal(part?.type === 'output_text' && part.text.trim(), 'I will look.');
  assert.equal(calls.length, 2);
  for (const call of calls) {
    assert.ok(call.type === 'function_call');
    assert.match(call.call_id, /^call_\w{24}$/);
    assert.deepEqual([call.name, call.arguments, call.status], ['weather', ROME, 'completed']);
  }
  const done = events.flatMap((event) => (event.type === 'response.output_item.done' ? [event.item] : []));
  assert.deepEqual(done, output);
  assert.deepEqual(withoutIds((await create(answer)).output), withoutIds(output));
  // The client puts its own snapshot together from the events.
  const final = await client.responses.stream({ model: 'plain', input: saying(answer), tools }).finalResponse();
  assert.deepEqual(
    final.output.map(({ type }) => type),
    output.map(({ type }) => type),
  );
});

test('the items of an answer and the results of its calls can be sent back', async () => {
  const { output } = await create(`<think>\nhm\n</think>\n\n${CALL}`);
  const call = output.find((item) => item.type === 'function_call');
  const result = { type: 'function_call_output' as const, call_id: call?.call_id ?? '', output: saying('35 degrees') };
  const next = await create('', {
    input: [{ role: 'user', content: 'hot?' }, ...(output as ResponseInputItem[]), result],
  });
  assert.equal(next.output_text, '35 degrees');
});

test('parallel_tool_calls: false gives the first call only, streamed or not', async () => {
  const one = { parallel_tool_calls: false };
  const response = await create(`${CALL}\n${CALL}`, one);
  assert.deepEqual([response.output.length, response.parallel_tool_calls], [1, false]);
  const last = (await eventsOf(`${CALL}\n${CALL}`, one)).at(-1);
  assert.equal(last?.type === 'response.completed' && last.response.output.length, 1);
});

test('a call that max_output_tokens cuts is incomplete', async () => {
  const { status, output } = await create(CALL, { max_output_tokens: CALL.indexOf('me"}') });
  assert.equal(status, 'incomplete');
  const [call] = output;
  assert.ok(call?.type === 'function_call');
  assert.deepEqual([call.arguments, call.status], ['{"city": "Ro', 'incomplete']);
});

test("tool_choice: 'none' looks for no calls", async () => {
  assert.equal((await create(CALL, { tool_choice: 'none' })).output_text, CALL);
});

test('a call can be required where the executor has guided decoding', async () => {
  for (const [tool_choice, names] of [
    ['required', ['weather', 'clock']],
    [{ type: 'function', name: 'clock' }, ['clock']],
  ] as const) {
    const answer = `{"name": "clock", "arguments": ${ROME}}`;
    const { output } = await create(answer, { model: 'guided', tool_choice });
    assert.deepEqual(
      output.map((item) => item.type === 'function_call' && [item.name, item.arguments]),
      [['clock', ROME]],
    );
    const schema = asked.at(-1)?.guided?.jsonSchema as { anyOf: { properties: { name: { const: string } } }[] };
    assert.deepEqual(
      schema.anyOf.map(({ properties }) => properties.name.const),
      names,
    );
    await assert.rejects(
      create(answer, { tool_choice }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === 'tool_choice',
    );
  }
});

test('an answer without text is a message without text', async () => {
  const stopped = { stop: 'x' } as Asked;
  const types = typesOf(await eventsOf('x', stopped));
  assert.deepEqual(types.slice(2), [
    'output_item.added',
    'content_part.added',
    'output_text.done',
    'content_part.done',
    'output_item.done',
    'completed',
  ]);
  const { output_text: text, output, status } = await create('x', stopped);
  assert.deepEqual([text, output.length, status], ['', 1, 'completed']);
});

test('text.format becomes guided where the executor has it, and is refused elsewhere', async () => {
  asked.length = 0;
  const schema = { type: 'object' };
  for (const format of [
    { type: 'text' },
    { type: 'json_object' },
    { type: 'json_schema', name: 'x', schema },
  ] as const) {
    await create('{}', { model: 'guided', text: { format } });
  }
  assert.deepEqual(
    asked.map(({ guided }) => guided),
    [undefined, { json: true }, { jsonSchema: schema }],
  );
  assert.deepEqual(
    asked.map(({ responseTemplate }) => responseTemplate),
    [undefined, false, false],
    'what is held to a format is content, not reasoning',
  );
  await assert.rejects(
    create('{}', { model: 'unguided', text: { format: { type: 'json_object' } } }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === 'text.format',
  );
});
