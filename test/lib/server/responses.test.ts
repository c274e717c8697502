import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import OpenAI from 'openai';
import type { ResponseCreateParamsNonStreaming, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { SCRIPTED_LIBRARY, scriptedEngine, temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { type HandlerServer, serveHandler } from '../../tools/serve-handler.js';

/** Writes what it gets. */
const TEMPLATE =
  '{% for tool in tools or [] %}[{{ tool.function.name }}]{% endfor %}' +
  '{% for message in messages %}{{ message.role }}:' +
  '{% if message.reasoning_content %}<{{ message.reasoning_content }}>{% endif %}{{ message.content }}' +
  '{% for call in message.tool_calls or [] %}({{ call.function.name }} {{ call.function.arguments.city }}){% endfor %}' +
  ';{% endfor %}{{ extra }}';

let llm: LLM;
let failing: LLM;
let server: HandlerServer;
let client: OpenAI;
before(async () => {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  await writeFile(join(dir, 'chat_template.jinja'), TEMPLATE);
  llm = await LLM.load(dir);
  failing = await LLM.load(await scriptedEngine({ fail_every: 1 }), { executor: { library: SCRIPTED_LIBRARY } });
  server = await serveHandler(createHandler({ tiny: llm, failing }));
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => {
  await server.close();
  await Promise.all([llm.close(), failing.close()]);
});

const create = (fields: object) =>
  client.responses.create({
    model: 'tiny',
    input: 'hi',
    max_output_tokens: 12,
    ...fields,
  } as ResponseCreateParamsNonStreaming);

async function eventsOf(fields: object): Promise<ResponseStreamEvent[]> {
  const events: ResponseStreamEvent[] = [];
  const asked = { model: 'tiny', input: 'hi', max_output_tokens: 12, ...fields };
  for await (const event of await client.responses.create({ ...asked, stream: true })) events.push(event);
  return events;
}

const typesOf = (events: readonly ResponseStreamEvent[]) => events.map(({ type }) => type.replace('response.', ''));

const user = { role: 'user' as const, content: 'hi' };

test('responses.create gives what generate() gives', async () => {
  await llm.generate({ messages: [user] }, { maxTokens: 12 }); // from now on its prompt is cached
  const { text, usage } = await llm.generate({ messages: [user] }, { maxTokens: 12 });
  const response = await create({ metadata: { a: 'b' } });
  assert.match(response.id, /^resp_/);
  assert.equal(response.output_text, text);
  const [item] = response.output;
  assert.ok(item?.type === 'message');
  assert.match(item.id, /^msg_/);
  assert.deepEqual(item.content, [{ type: 'output_text', text, annotations: [], logprobs: [] }]);
  assert.deepEqual(
    [response.object, response.model, response.status, response.incomplete_details, response.metadata],
    ['response', 'tiny', 'incomplete', { reason: 'max_output_tokens' }, { a: 'b' }],
  );
  assert.deepEqual(response.usage, {
    input_tokens: usage.promptTokens,
    input_tokens_details: { cached_tokens: usage.cachedTokens },
    output_tokens: 12,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: usage.totalTokens,
  });
});

test("a stream's events come in OpenAI's order, numbered, and give the same text", async () => {
  const { text, usage } = await llm.generate({ messages: [user] }, { maxTokens: 12 });
  const events = await eventsOf({});
  assert.deepEqual(
    events.map(({ sequence_number }) => sequence_number),
    events.map((_, i) => i),
  );
  const types = typesOf(events);
  assert.deepEqual(types.slice(0, 4), ['created', 'in_progress', 'output_item.added', 'content_part.added']);
  assert.deepEqual(types.slice(-4), ['output_text.done', 'content_part.done', 'output_item.done', 'incomplete']);
  assert.ok(types.slice(4, -4).every((type) => type === 'output_text.delta'));
  const deltas = events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : ''));
  assert.equal(deltas.join(''), text);
  const last = events.at(-1);
  assert.ok(last?.type === 'response.incomplete');
  assert.equal(last.response.usage?.total_tokens, usage.totalTokens);
  const final = await client.responses.stream({ model: 'tiny', input: 'hi', max_output_tokens: 12 }).finalResponse();
  assert.equal(final.output_text, text);
});

test('every event is sent with its type as the name, and nothing follows the last', async () => {
  const body = JSON.stringify({ model: 'tiny', input: 'hi', max_output_tokens: 2, stream: true });
  const sent = await (await fetch(`${server.url}/v1/responses`, { method: 'POST', body })).text();
  for (const event of sent.trimEnd().split('\n\n')) {
    const [, name, data = ''] = /^event: (\S+)\ndata: (.+)$/.exec(event) ?? [];
    assert.equal((JSON.parse(data) as { type: string }).type, name);
  }
});

test('instructions, items and sampling fields have the effect of messages and options', async () => {
  const items = [
    { role: 'developer', content: 'Be brief.' },
    {
      type: 'message',
      role: 'user',
      content: [
        { type: 'input_text', text: 'a' },
        { type: 'input_text', text: 'b' },
      ],
    },
    { type: 'reasoning', id: 'rs_1', summary: [], content: [{ type: 'reasoning_text', text: 'hm' }] },
    { type: 'message', role: 'assistant', id: 'msg_1', content: [{ type: 'output_text', text: 'Let me see.' }] },
    { type: 'function_call', call_id: 'c1', name: 'weather', arguments: '{"city": "Rome"}' },
    { type: 'function_call', call_id: 'c2', name: 'weather', arguments: '{"city": "Oslo"}' },
    { type: 'function_call_output', call_id: 'c1', output: '35' },
    { type: 'function_call_output', call_id: 'c2', output: [{ type: 'input_text', text: '5' }] },
    { type: 'reasoning', id: 'rs_2', summary: [{ type: 'summary_text', text: 'so' }] },
    { type: 'function_call', call_id: 'c3', name: 'weather', arguments: '{"city": "Bern"}' },
    { role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] },
    { role: 'user', content: 'And?' },
  ];
  const tools = [{ type: 'function', name: 'weather', parameters: {} }, { type: 'web_search' }];
  const prompt =
    '[weather]system:Talk.\n\nBe brief.;user:ab;assistant:<hm>Let me see.(weather Rome)(weather Oslo);tool:35;tool:5;' +
    'assistant:<so>(weather Bern);assistant:No.;user:And?;!';
  const sampled = { temperature: 1, top_p: 0.9 };
  const { text } = await llm.generate(prompt, {
    addSpecialTokens: false,
    maxTokens: 12,
    temperature: 1,
    topP: 0.9,
    seed: 5,
  });
  const extra = { chat_template_kwargs: { extra: '!' }, seed: 5 };
  const response = await create({ instructions: 'Talk.', input: items, tools, ...sampled, ...extra });
  assert.equal(response.output_text, text);
  assert.deepEqual(
    [response.instructions, response.temperature, response.top_p, response.tools],
    ['Talk.', 1, 0.9, [{ type: 'function', name: 'weather', parameters: {} }]],
  );
});

test('a failure in a stream is the event response.failed, one before its start has a status', async () => {
  const events = await eventsOf({ model: 'failing', max_output_tokens: 50 });
  const last = events.at(-1);
  assert.ok(last?.type === 'response.failed');
  assert.deepEqual(
    [last.response.status, last.response.error?.code, last.sequence_number],
    ['failed', 'server_error', events.length - 1],
  );
  await assert.rejects(eventsOf({ top_p: 2 }), (error) => error instanceof OpenAI.BadRequestError);
});

test('fields that change nothing here are accepted', async () => {
  const { text } = await llm.generate({ messages: [user] }, { maxTokens: 12 });
  const fields = {
    store: false,
    background: false,
    truncation: 'disabled',
    top_logprobs: 0,
    include: ['reasoning.encrypted_content'],
    reasoning: { effort: null, summary: 'auto' },
    text: { verbosity: null, format: null },
    previous_response_id: null,
    parallel_tool_calls: true,
    client_metadata: {},
    prompt_cache_key: 'x',
    service_tier: 'auto',
    stream_options: { include_obfuscation: false },
    user: 'me',
  };
  assert.equal((await create(fields)).output_text, text);
});

test('what would need a memory, and what would change the answer, is refused by name', async () => {
  for (const [fields, param, reason] of [
    [{ store: true }, 'store', /Nothing is stored here/],
    [{ previous_response_id: 'resp_1' }, 'previous_response_id', /Send the whole conversation as input/],
    [{ conversation: 'conv_1' }, 'conversation', /Nothing is stored here/],
    [{ background: true }, 'background', /Use stream/],
    [{ prompt: { id: 'pmpt_1' } }, 'prompt', /Use instructions and input/],
    [{ truncation: 'auto' }, 'truncation', /Send less input/],
    [{ top_logprobs: 3 }, 'top_logprobs', /chat\/completions/],
    [{ include: ['message.output_text.logprobs'] }, 'include', /chat\/completions/],
    [{ reasoning: { effort: 'low' } }, 'reasoning.effort', /chat_template_kwargs/],
    [{ text: { verbosity: 'low' } }, 'text.verbosity', /chat_template_kwargs/],
    [{ tool_choice: 'required' }, 'tool_choice', /expected/],
    [{ input: [{ type: 'item_reference', id: 'msg_1' }] }, 'input[0].type', /expected/],
    [{ input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, 'input[0].content[0].type', /expected/],
    [{ input: [{ role: 'user' }] }, 'input[0].content', /missing/],
    [{ input: [{ type: 'function_call', call_id: 'c', name: 'f' }] }, 'input[0].arguments', /missing/],
    [{ tools: [{ type: 'function' }] }, 'tools[0].name', /missing/],
    [{ input: 3 }, 'input', /expected a text or items/],
    [{ input: undefined }, 'input', /missing/],
    [{ max_output_tokens: -1 }, 'max_output_tokens', /is -1/],
    [{ top_p: 2 }, 'top_p', /is 2/],
    [{ messages: [] }, 'messages', /not a known field/],
    [{ max_tokens: 1 }, 'max_tokens', /not a known field/],
    [{ n: 2 }, 'n', /not a known field/],
    [{ input: 'x'.repeat(llm.info.maxSeqLen) }, 'input', /Please reduce the length/],
  ] as const) {
    await assert.rejects(
      create(fields),
      (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
        assert.equal(error.param, param, error.message);
        assert.match(error.message, reason);
        return true;
      },
      param,
    );
  }
});
