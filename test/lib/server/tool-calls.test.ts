import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type GenerateOptions, LLM } from 'node-tensorrt-llm';
import { createHandler, type Handler } from 'node-tensorrt-llm/server';
import OpenAI from 'openai';
import { temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { loadEcho } from '../../tools/scripted.js';
import { type HandlerServer, serveHandler } from '../../tools/serve-handler.js';

/** The scripted executor says the last message. */
const TEMPLATE = '{# <think> <tool_call> #}{{ tools or "" }}{{ messages[-1].content }}';
const saying = (text: string) => ({ role: 'user' as const, content: `\x02${text}\x03` });

const tools = ['weather', 'clock'].map((name) => ({
  type: 'function' as const,
  function: { name, parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}));
const ROME = '{"city": "Rome"}';
const CALL = `<tool_call>\n{"name": "weather", "arguments": ${ROME}}\n</tool_call>`;
const request = { model: 'scripted', messages: [saying(`<think>\nhm\n</think>\n\n${CALL}\n${CALL}`)], tools };

let llm: LLM;
let server: HandlerServer;
let client: OpenAI;
before(async () => {
  llm = await loadEcho(TEMPLATE);
  server = await serveHandler(createHandler({ scripted: llm }));
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
after(async () => {
  await server.close();
  await llm.close();
});

test('calls and reasoning are fields of the message, and the finish reason says so', async () => {
  const { choices } = await client.chat.completions.create(request);
  const { message, finish_reason } = choices[0] as (typeof choices)[number];
  assert.equal(finish_reason, 'tool_calls');
  assert.equal(message.content, null);
  const { reasoning_content, reasoning } = message as unknown as Record<string, unknown>;
  assert.deepEqual([reasoning_content, reasoning], ['hm', 'hm']);
  assert.equal(message.tool_calls?.length, 2);
  for (const { id, ...call } of message.tool_calls ?? []) {
    assert.match(id, /^call_\w{24}$/);
    assert.deepEqual(call, { type: 'function', function: { name: 'weather', arguments: ROME } });
  }
});

test("a stream's deltas are put together by OpenAI's client to the same message", async () => {
  const stream = client.chat.completions.stream(request);
  const reasoning: unknown[] = [];
  stream.on('chunk', ({ choices }) => {
    const delta = choices[0]?.delta as Record<string, unknown> | undefined;
    if (delta?.reasoning_content !== undefined) reasoning.push(delta.reasoning_content);
  });
  const { choices } = await stream.finalChatCompletion();
  const { message, finish_reason } = choices[0] as (typeof choices)[number];
  assert.equal(finish_reason, 'tool_calls');
  assert.equal(reasoning.join(''), 'hm');
  assert.equal(message.content ?? '', '');
  assert.deepEqual(
    message.tool_calls?.map((call) => call.type === 'function' && [call.function.name, call.function.arguments]),
    [
      ['weather', ROME],
      ['weather', ROME],
    ],
  );
});

test('the message and the result of the call can be sent back as they are', async () => {
  const { choices } = await client.chat.completions.create(request);
  const { message } = choices[0] as (typeof choices)[number];
  const result = {
    role: 'tool' as const,
    tool_call_id: message.tool_calls?.[0]?.id ?? '',
    content: '\x0235 degrees\x03',
  };
  const next = await client.chat.completions.create({ ...request, messages: [...request.messages, message, result] });
  assert.equal(next.choices[0]?.finish_reason, 'stop');
  assert.match(next.choices[0]?.message.content ?? '', /35 degrees|hm/);
});

test('parallel_tool_calls: false gives the first call only, streamed or not', async () => {
  const one = { ...request, parallel_tool_calls: false };
  assert.equal((await client.chat.completions.create(one)).choices[0]?.message.tool_calls?.length, 1);
  const { choices } = await client.chat.completions.stream(one).finalChatCompletion();
  assert.equal(choices[0]?.message.tool_calls?.length, 1);
});

test('a call that max_tokens cuts has the arguments that came, and the finish reason is length', async () => {
  const cut = { ...request, messages: [saying(CALL)], max_tokens: CALL.indexOf('me"}') };
  const { choices } = await client.chat.completions.create(cut);
  assert.equal(choices[0]?.finish_reason, 'length');
  const [call] = choices[0]?.message.tool_calls ?? [];
  assert.equal(call?.type === 'function' && call.function.arguments, '{"city": "Ro');
});

test("tool_choice: 'none' looks for no calls", async () => {
  const { choices } = await client.chat.completions.create({ ...request, tool_choice: 'none' });
  assert.equal(choices[0]?.finish_reason, 'stop');
  assert.equal(choices[0]?.message.content, `${CALL}\n${CALL}`);
});

test('where no format of calls is known they stay in the text', async () => {
  const other = await loadEcho(TEMPLATE.replace('<tool_call>', ''));
  try {
    const response = await post(createHandler(other), { messages: [saying(CALL)], tools });
    const { choices } = (await response.json()) as OpenAI.Chat.ChatCompletion;
    assert.deepEqual([choices[0]?.message.content, choices[0]?.finish_reason], [CALL, 'stop']);
  } finally {
    await other.close();
  }
});

const post = (handler: Handler, body: object): Promise<Response> =>
  handler(new Request('http://localhost/v1/chat/completions', { method: 'POST', body: JSON.stringify(body) }));

describe('a call that is asked for', () => {
  const named = (name: string) => ({ type: 'function', function: { name } });

  test('is refused by the name of the field where the executor cannot enforce it', async () => {
    for (const tool_choice of ['required', named('weather')]) {
      const response = await post(createHandler(llm), { ...request, model: undefined, tool_choice });
      assert.equal(response.status, 400);
      const { error } = (await response.json()) as { error: { param: string; code: string; message: string } };
      assert.deepEqual([error.param, error.code], ['tool_choice', 'unsupported_parameter']);
      assert.match(error.message, /"(required|weather)".*cannot enforce/);
    }
  });

  describe('where it can', () => {
    const asked: (GenerateOptions | undefined)[] = [];
    const handler = (): Handler => {
      const guided = {
        info: llm.info,
        capabilities: { ...llm.capabilities, guided: true },
        tokenizer: llm.tokenizer,
        stream: (...[input, options]: Parameters<LLM['stream']>) => {
          asked.push(options);
          return llm.stream(input, { ...options, guided: undefined });
        },
      } as unknown as LLM;
      return createHandler({ guided });
    };
    const ask = async (tool_choice: unknown) =>
      post(handler(), { messages: [saying(`{"name": "clock", "arguments": ${ROME}}`)], tools, tool_choice });

    test('is held to a schema of the tools that are allowed, and read in its form', async () => {
      for (const [choice, names] of [
        ['required', ['weather', 'clock']],
        [named('clock'), ['clock']],
      ] as const) {
        const { choices } = (await (await ask(choice)).json()) as OpenAI.Chat.ChatCompletion;
        const [call] = choices[0]?.message.tool_calls ?? [];
        assert.deepEqual(call?.type === 'function' && call.function, { name: 'clock', arguments: ROME });
        const schema = asked.at(-1)?.guided?.jsonSchema as { anyOf: { properties: { name: { const: string } } }[] };
        assert.deepEqual(
          schema.anyOf.map(({ properties }) => properties.name.const),
          names,
        );
      }
    });

    test('must be of a tool that there is', async () => {
      const response = await ask(named('radio'));
      assert.equal(response.status, 400);
      assert.match(await response.text(), /tool_choice is \\"radio\\"; expected a tool that is in tools/);
    });
  });
});

test('logprobs are of all tokens, those of the reasoning too', async () => {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  await writeFile(join(dir, 'chat_template.jinja'), '{{ messages[-1].content }}<|im_start|>assistant\n<think>\n');
  const thinking = await LLM.load(dir);
  try {
    const body = { messages: [{ role: 'user', content: 'hi' }], max_tokens: 6, ignore_eos: true, logprobs: true };
    const whole = (await (await post(createHandler(thinking), body)).json()) as OpenAI.Chat.ChatCompletion;
    assert.equal(whole.choices[0]?.message.content, '');
    assert.equal(whole.choices[0]?.logprobs?.content?.length, 6);
    const events = (await (await post(createHandler(thinking), { ...body, stream: true })).text())
      .split('\n\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => JSON.parse(line.slice('data: '.length)) as OpenAI.Chat.ChatCompletionChunk);
    assert.equal(events.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? []).length, 6);
    assert.equal(events.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), '');
  } finally {
    await thinking.close();
  }
});
