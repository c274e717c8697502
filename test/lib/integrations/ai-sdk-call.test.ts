import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LLM, type Result } from 'node-tensorrt-llm';
import { type LanguageModel, languageModel } from 'node-tensorrt-llm/ai-sdk';
import { type AnsweringLLM, answering, WITH_TOOLS } from '../../tools/answering.js';
import { tinyEngine } from '../../tools/engines.js';

// What the AI SDK asks of a model, without the AI SDK.
type Call = Parameters<LanguageModel['doGenerate']>[0];

let tiny: LLM;
before(async () => {
  tiny = await LLM.load(await tinyEngine());
});
after(() => tiny.close());

const prompt: Call['prompt'] = [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }];

async function asked(call: Call, fields: object = WITH_TOOLS) {
  const { llm, requests }: AnsweringLLM = answering(tiny, [[{ text: 'hey' }]], fields);
  const { warnings } = await languageModel(llm).doGenerate(call);
  return { ...requests[0], features: warnings.map(({ feature }) => feature) };
}

test('each kind of tool result is a text for the chat template', async () => {
  const outputs = [
    { type: 'text', value: 'sunny' },
    { type: 'error-text', value: 'no such city' },
    { type: 'json', value: { celsius: 35 } },
    { type: 'error-json', value: [404] },
    { type: 'execution-denied', reason: 'Not now.' },
    { type: 'execution-denied' },
    {
      type: 'content',
      value: [
        { type: 'text', text: 'one' },
        { type: 'text', text: 'two' },
      ],
    },
  ] as const;
  const results = outputs.map(
    (output) => ({ type: 'tool-result', toolCallId: 'c', toolName: 'weather', output }) as const,
  );
  const { input } = await asked({
    prompt: [{ role: 'tool', content: [...results, { type: 'tool-approval-response' }] }],
  });
  assert.deepEqual(
    input?.messages.map(({ content }) => content),
    ['sunny', 'no such city', '{"celsius":35}', '[404]', 'Not now.', 'The user denied this call.', 'one\ntwo'],
  );
});

test('a part that is not text rejects in each message', async () => {
  const file = { type: 'file', mediaType: 'image/png' } as const;
  const output = { type: 'content', value: [{ type: 'image-data' }] } as const;
  for (const message of [
    { role: 'user', content: [file] },
    { role: 'assistant', content: [file] },
    { role: 'tool', content: [file] },
    { role: 'tool', content: [{ type: 'tool-result', toolCallId: 'c', toolName: 'weather', output }] },
  ] as const) {
    await assert.rejects(asked({ prompt: [...prompt, message] }), {
      message: /message 1 has a part of type (file|image-data)/,
    });
  }
});

test('what has no effect is a warning that names it', async () => {
  const tools = [
    { type: 'provider', id: 'openai.web_search', name: 'search' },
    { type: 'function', name: 'weather', inputSchema: {}, strict: true },
  ] as const;
  const capabilities = { ...tiny.capabilities, outputPenalties: false };
  const call = { prompt, tools, presencePenalty: 1, frequencyPenalty: 0 };
  const { features, options, input } = await asked(call, { ...WITH_TOOLS, capabilities });
  assert.deepEqual(features, ['tool openai.web_search', 'strict of tool weather', 'presencePenalty']);
  assert.equal(options?.presencePenalty, undefined);
  assert.equal(input?.tools?.length, 1);
});

test('a responseTemplate among the providerOptions says that calls are found', async () => {
  const tools = [{ type: 'function', name: 'weather', inputSchema: {} }] as const;
  const { tokenizer } = WITH_TOOLS;
  const found = async (responseTemplate: unknown, fields: object) =>
    (await asked({ prompt, tools, providerOptions: { 'node-tensorrt-llm': { responseTemplate } } }, fields)).features;
  assert.deepEqual(await found(WITH_TOOLS.responseTemplate, { tokenizer }), []);
  assert.deepEqual(await found(false, WITH_TOOLS), ['tools']);
});

test('guided among the providerOptions switches reasoning off, with a warning if it is asked for', async () => {
  const own = { guided: { regex: '[0-9]+' } };
  const { features, options, input } = await asked({
    prompt,
    reasoning: 'high',
    providerOptions: { 'node-tensorrt-llm': own },
  });
  assert.deepEqual(features, ['reasoning']);
  assert.deepEqual([options?.guided, options?.responseTemplate], [own.guided, false]);
  assert.deepEqual(input?.templateVars, { enable_thinking: false });
});

test('more than one output rejects', async () => {
  const providerOptions = { 'node-tensorrt-llm': { n: 2 } };
  await assert.rejects(asked({ prompt, providerOptions }), { code: 'ERR_INVALID_OPTION', option: 'n' });
});

test('a timeout is the finish reason other', async () => {
  const { text, ...rest }: Result = await tiny.generate('hi', { maxTokens: 1 });
  const generate = async (): Promise<Result> => ({ text, ...rest, finishReason: 'timeout' });
  const { llm } = answering(tiny, [], { generate });
  assert.deepEqual((await languageModel(llm).doGenerate({ prompt })).finishReason, {
    unified: 'other',
    raw: 'timeout',
  });
});
