import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AIMessage, type AIMessageChunk, HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { concat } from '@langchain/core/utils/stream';
import { forceToolCall, LLM } from 'node-tensorrt-llm';
import { ChatNodeTensorRTLLM } from 'node-tensorrt-llm/langchain';
import { type Answer, answering, asksWeather, WITH_TOOLS } from '../../tools/answering.js';
import { tinyEngine } from '../../tools/engines.js';
import { loadSaying, saying } from '../../tools/saying.js';

let tiny: LLM;
before(async () => {
  tiny = await LLM.load(await tinyEngine());
});
after(() => tiny.close());

const ASKS_WEATHER = asksWeather('Let me ', 'look.');
const CALLS = [
  { type: 'tool_call', id: 'call_1', name: 'weather', args: { city: 'Rome' } },
  { type: 'tool_call', id: 'call_2', name: 'weather', args: { city: 'Oslo' } },
];
const ANSWERS: Answer = [{ text: 'Rome is ' }, { text: 'hot.' }];

const schema = { type: 'object' as const, properties: { city: { type: 'string' as const } }, required: ['city'] };
const weather = tool(({ city }: { city: string }) => `${city} has 35 degrees`, {
  name: 'weather',
  description: 'The weather of a city.',
  schema,
});
const prompt = 'Where is it hot?';
const guided = { ...WITH_TOOLS, capabilities: { guided: true } };

/** A model whose LLM answers so, and what its requests asked. */
function modelOf(answers: readonly Answer[], fields: object = WITH_TOOLS) {
  const { llm, requests } = answering(tiny, answers, fields);
  return { model: new ChatNodeTensorRTLLM({ llm }), requests };
}

test('invoke gives tool calls, reasoning and text', async () => {
  const { model, requests } = modelOf([ASKS_WEATHER]);
  const message = await model.bindTools([weather]).invoke(prompt);
  assert.deepEqual(message.tool_calls, CALLS);
  assert.equal(message.text, 'Let me look.');
  assert.deepEqual(
    message.contentBlocks.map(({ type }) => type),
    ['reasoning', 'text', 'tool_call', 'tool_call'],
  );
  assert.equal(message.response_metadata.finish_reason, 'tool_calls');
  assert.deepEqual(requests[0]?.input.tools, [
    { type: 'function', function: { name: 'weather', description: 'The weather of a city.', parameters: schema } },
  ]);
});

test('stream gives the same calls, reasoning and text in slices', async () => {
  const { model } = modelOf([ASKS_WEATHER]);
  let whole: AIMessageChunk | undefined;
  const slices: unknown[] = [];
  for await (const chunk of await model.bindTools([weather]).stream(prompt)) {
    slices.push(...(chunk.tool_call_chunks ?? []).map(({ id, args }) => [id, args]));
    whole = whole ? concat(whole, chunk) : chunk;
  }
  assert.deepEqual(slices, [
    ['call_1', '{"city"'],
    [undefined, ':"Rome"}'],
    ['call_2', '{"city":'],
    [undefined, '"Oslo"}'],
  ]);
  assert.deepEqual(whole?.tool_calls, CALLS);
  const [reasoning, text, ...calls] = whole?.contentBlocks ?? [];
  assert.ok(reasoning?.type === 'reasoning' && reasoning.reasoning === 'Two cities.');
  assert.ok(text?.type === 'text' && text.text === 'Let me look.');
  assert.deepEqual(
    calls.map(({ type }) => type),
    ['tool_call', 'tool_call'],
  );
});

test('streamEvents gives reasoning, text and calls apart', async () => {
  const { model } = modelOf([ASKS_WEATHER]);
  const message = await model.streamEvents(prompt, { tools: [weather] });
  assert.equal(message.text, 'Let me look.');
  assert.deepEqual(message.tool_calls, CALLS);
  const reasoned = modelOf([ASKS_WEATHER]).model.streamEvents(prompt, { tools: [weather] });
  let reasoning = '';
  for await (const part of reasoned.reasoning) reasoning += part;
  assert.equal(reasoning, 'Two cities.');
});

test('an answer without reasoning is a string, in streamEvents too where a call follows', async () => {
  const answer = ASKS_WEATHER.filter(({ reasoning }) => reasoning === undefined);
  const tools = [weather];
  assert.equal((await modelOf([answer]).model.invoke(prompt, { tools })).content, 'Let me look.');
  const message = await modelOf([answer]).model.streamEvents(prompt, { tools });
  assert.equal(message.text, 'Let me look.');
  assert.deepEqual(message.tool_calls, CALLS);
});

test('calls and their results go to the chat template, with arguments as objects', async () => {
  const { model, requests } = modelOf([ASKS_WEATHER, ANSWERS]);
  const withTools = model.bindTools([weather]);
  const asked = await withTools.invoke(prompt);
  const results = (asked.tool_calls ?? []).map(
    ({ id = '', name, args }) => new ToolMessage({ tool_call_id: id, name, content: `${args.city} has 35 degrees` }),
  );
  const { text } = await withTools.invoke([new HumanMessage(prompt), asked, ...results]);
  assert.equal(text, 'Rome is hot.');
  const call = (id: string, city: string) => ({
    id,
    type: 'function',
    function: { name: 'weather', arguments: { city } },
  });
  assert.deepEqual(requests[1]?.input.messages, [
    { role: 'user', content: prompt },
    {
      role: 'assistant',
      content: 'Let me look.',
      reasoning_content: 'Two cities.',
      tool_calls: [call('call_1', 'Rome'), call('call_2', 'Oslo')],
    },
    { role: 'tool', tool_call_id: 'call_1', name: 'weather', content: 'Rome has 35 degrees' },
    { role: 'tool', tool_call_id: 'call_2', name: 'weather', content: 'Oslo has 35 degrees' },
  ]);
});

test('calls and reasoning that an engine writes come as parts, and results go back to it', async () => {
  const llm = await loadSaying();
  const model = new ChatNodeTensorRTLLM({ llm }).bindTools([weather]);
  const asked = saying(
    '<think>\nhm\n</think>\n\n<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>',
  );
  let answer: AIMessageChunk | undefined;
  for await (const chunk of await model.stream(asked)) answer = answer ? concat(answer, chunk) : chunk;
  assert.ok(answer);
  assert.deepEqual(
    answer.contentBlocks.map(({ type }) => type),
    ['reasoning', 'tool_call'],
  );
  const [call] = answer.tool_calls ?? [];
  assert.deepEqual([call?.name, call?.args], ['weather', { city: 'Rome' }]);
  const result = new ToolMessage({ tool_call_id: call?.id ?? '', content: saying('Rome is hot.') });
  assert.equal((await model.invoke([new HumanMessage(asked), answer, result])).content, 'Rome is hot.');
  await llm.close();
});

test('a call whose arguments are not a JSON object is an invalid one, and not lost', async () => {
  for (const cut of ['{"ci', '"Rome"']) {
    const answer: Answer = [{ toolCalls: [{ index: 0, id: 'call_1', name: 'weather', arguments: cut }] }];
    const { tool_calls, invalid_tool_calls } = await modelOf([answer]).model.invoke(prompt, { tools: [weather] });
    assert.deepEqual(tool_calls, []);
    assert.equal(invalid_tool_calls?.[0]?.args, cut);
  }
});

test('tool_choice chooses what the model is offered', async () => {
  const other = { type: 'function', function: { name: 'other', parameters: schema } };
  const choices = ['auto', 'any', 'none', 'weather', { type: 'function', function: { name: 'other' } }];
  const { model, requests } = modelOf(choices.map(() => ANSWERS));
  for (const tool_choice of choices) await model.bindTools([weather, other], { tool_choice }).invoke(prompt);
  const offered = requests.map(({ input }) => input.tools?.map((each) => (each.function as { name: string }).name));
  const both = ['weather', 'other'];
  assert.deepEqual(offered, [both, both, undefined, ['weather'], ['other']]);
});

test('tool_choice holds the answer to a call where the executor can', async () => {
  const choices = ['auto', 'any', 'weather'];
  const { model, requests } = modelOf(
    choices.map(() => ASKS_WEATHER),
    guided,
  );
  assert.equal(model.profile.toolChoice, true);
  for (const tool_choice of choices) await model.invoke(prompt, { tools: [weather], tool_choice });
  const forced = forceToolCall(requests[0]?.input.tools ?? []);
  assert.deepEqual(
    requests.map(({ options }) => options.guided),
    [undefined, forced.guided, forced.guided],
  );
  assert.deepEqual(requests[1]?.options.responseTemplate, forced.responseTemplate);
  assert.deepEqual(requests[1]?.input.templateVars, { enable_thinking: false });
});

test('tools for a model that cannot call them reject', async () => {
  const { model } = modelOf([ANSWERS], {});
  await assert.rejects(model.bindTools([weather]).invoke(prompt), { code: 'ERR_UNSUPPORTED', option: 'tools' });
});

const JSON_TEXT: Answer = [{ text: '{"city":"Rome"}' }];

test('withStructuredOutput holds the output to the schema where the executor can, without reasoning', async () => {
  const { model, requests } = modelOf([JSON_TEXT, JSON_TEXT, JSON_TEXT], guided);
  assert.deepEqual(await model.withStructuredOutput(schema).invoke(prompt), { city: 'Rome' });
  const raw = await model.withStructuredOutput(schema, { includeRaw: true }).invoke(prompt);
  assert.deepEqual(raw.parsed, { city: 'Rome' });
  assert.ok(AIMessage.isInstance(raw.raw));
  await model.withStructuredOutput(schema, { method: 'jsonMode' }).invoke(prompt);
  assert.deepEqual(
    requests.map(({ options }) => options.guided),
    [{ jsonSchema: schema }, { jsonSchema: schema }, { json: true }],
  );
  assert.deepEqual(requests[0]?.input.templateVars, { enable_thinking: false });
  assert.equal(requests[0]?.options.responseTemplate, false);
});

test('reasoning stays on where the format begins behind it', async () => {
  const info = { ...tiny.info, guidedAfterReasoning: true };
  const { model, requests } = modelOf([JSON_TEXT, ASKS_WEATHER], { ...guided, info });
  assert.deepEqual(await model.withStructuredOutput(schema).invoke(prompt), { city: 'Rome' });
  await model.invoke(prompt, { tools: [weather], tool_choice: 'any' });
  assert.deepEqual(requests[0]?.options.guided, { jsonSchema: schema });
  assert.equal(requests[0]?.options.responseTemplate, undefined);
  assert.equal(typeof requests[1]?.options.responseTemplate, 'object');
  for (const { input } of requests) assert.equal(input.templateVars, undefined);
});

test('withStructuredOutput is a tool call elsewhere, and takes schemas of zod', async () => {
  const { z } = await import('zod');
  const calls = ASKS_WEATHER.map(({ toolCalls, ...rest }) =>
    toolCalls ? { toolCalls: toolCalls.map((call) => (call.name ? { ...call, name: 'city' } : call)) } : rest,
  );
  const { model, requests } = modelOf([calls, calls]);
  const structured = model.withStructuredOutput(z.object({ city: z.string() }), { name: 'city', includeRaw: true });
  const { parsed } = await structured.invoke(prompt);
  assert.deepEqual(parsed, { city: 'Rome' });
  const offered = requests[0]?.input.tools?.[0]?.function as { name: string; parameters: typeof schema } | undefined;
  assert.equal(offered?.name, 'city');
  assert.deepEqual(offered?.parameters.required, ['city']);
  assert.throws(() => model.withStructuredOutput(schema, { method: 'xml' }), { option: 'method' });
  assert.throws(() => model.withStructuredOutput(schema, { strict: true }), { option: 'strict' });
});
