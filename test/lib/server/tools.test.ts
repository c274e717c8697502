import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LLM, LLMError } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import { temporaryDirectory, tinyEngine } from '../../tools/engines.js';

/** Writes what it gets. */
const TEMPLATE =
  '{% for tool in tools or [] %}[{{ tool.function.name }}]{% endfor %}' +
  '{% for message in messages %}{{ message.role }}:{{ message.content }}' +
  '{% for call in message.tool_calls or [] %}({{ call.function.arguments.city }}){% endfor %};{% endfor %}';

let llm: LLM;
before(async () => {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  await writeFile(join(dir, 'chat_template.jinja'), TEMPLATE);
  llm = await LLM.load(dir);
});
after(() => llm.close());

const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
const question = { role: 'user', content: 'hot?' };

const post = async (path: string, body: object): Promise<Response> =>
  createHandler(llm)(new Request(`http://localhost${path}`, { method: 'POST', body: JSON.stringify(body) }));

/** The prompt of a conversation. */
async function promptOf(fields: object): Promise<string> {
  const response = await post('/tokenize', fields);
  return llm.tokenizer.decode(((await response.json()) as { tokens: number[] }).tokens);
}

test('tools go to the chat template', async () => {
  assert.equal(await promptOf({ messages: [question], tools }), '[weather]user:hot?;');
});

test('arguments of a call, which clients send as JSON text, reach the chat template as an object', async () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city": "Rome"}' } };
  const asked = { role: 'assistant', content: '', tool_calls: [call] };
  const answered = { role: 'tool', tool_call_id: 'call_1', content: '35' };
  assert.equal(await promptOf({ messages: [question, asked, answered] }), 'user:hot?;assistant:(Rome);tool:35;');
});

test("tool_choice: 'none' leaves tools out", async () => {
  const answer = async (fields: object): Promise<string | undefined> => {
    const response = await post('/v1/chat/completions', { messages: [question], max_tokens: 8, ...fields });
    return ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]?.message.content;
  };
  const plain = await answer({});
  assert.equal(await answer({ tools, tool_choice: 'none' }), plain);
  const { text } = await llm.generate({ messages: [question], tools }, { maxTokens: 8 });
  assert.equal(await answer({ tools, tool_choice: 'auto' }), text);
});

test('response_format becomes guided where the executor has it, and is refused elsewhere', async () => {
  const seen: unknown[] = [];
  const capable = (guided: boolean): LLM =>
    ({
      info: { ...llm.info, guidedAfterReasoning: true },
      capabilities: { ...llm.capabilities, guided },
      tokenizer: llm.tokenizer,
      stream: (...[input, options]: Parameters<LLM['stream']>) => {
        seen.push(options?.guided);
        assert.equal(options?.responseTemplate, undefined); // the format begins behind the reasoning
        return llm.stream(input, { ...options, guided: undefined });
      },
    }) as unknown as LLM;
  const answer = (guided: boolean, response_format: object): Promise<Response> => {
    const body = JSON.stringify({ messages: [question], max_tokens: 1, response_format });
    const request = new Request('http://localhost/v1/chat/completions', { method: 'POST', body });
    return createHandler(capable(guided))(request);
  };
  const schema = { type: 'object' };
  for (const response_format of [
    { type: 'text' },
    { type: 'json_object' },
    { type: 'json_schema', json_schema: { name: 'x', schema } },
  ]) {
    assert.equal((await answer(true, response_format)).status, 200);
  }
  assert.deepEqual(seen, [undefined, { json: true }, { jsonSchema: schema }]);
  const refused = await answer(false, { type: 'json_object' });
  const { error } = (await refused.json()) as { error: { param: string; code: string; message: string } };
  assert.deepEqual([refused.status, error.param, error.code], [400, 'response_format', 'unsupported_parameter']);
  assert.match(error.message, /"json_object", which the executor 'cpu' cannot enforce/);
});

test('what is wrong with a JSON schema is told by the field that has it', async () => {
  const failing = {
    info: llm.info,
    capabilities: { ...llm.capabilities, guided: true },
    tokenizer: llm.tokenizer,
    stream: () => {
      throw new LLMError('ERR_INVALID_OPTION', 'guided.jsonSchema cannot be followed: x.', { option: 'guided' });
    },
  } as unknown as LLM;
  const messageFor = async (path: string, fields: object): Promise<string> => {
    const request = new Request(`http://localhost${path}`, { method: 'POST', body: JSON.stringify(fields) });
    const { error } = (await (await createHandler({ failing })(request)).json()) as { error: { message: string } };
    return error.message;
  };
  const response_format = { type: 'json_schema', json_schema: { name: 'x', schema: {} } };
  assert.equal(
    await messageFor('/v1/chat/completions', { messages: [question], response_format }),
    'response_format.json_schema.schema cannot be followed: x.',
  );
  const text = { format: { type: 'json_schema', name: 'x', schema: {} } };
  assert.equal(await messageFor('/v1/responses', { input: 'x', text }), 'text.format.schema cannot be followed: x.');
});
