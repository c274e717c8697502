import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as ai6 from 'ai-6';
import * as ai7 from 'ai-7';
import { forceToolCall, LLM } from 'node-tensorrt-llm';
import { languageModel } from 'node-tensorrt-llm/ai-sdk';
import { type Answer, answering, asksWeather, WITH_TOOLS } from '../../tools/answering.js';
import { tinyEngine } from '../../tools/engines.js';
import { loadSaying, saying } from '../../tools/saying.js';

(globalThis as { AI_SDK_LOG_WARNINGS?: boolean }).AI_SDK_LOG_WARNINGS = false;

let tiny: LLM;
before(async () => {
  tiny = await LLM.load(await tinyEngine());
});
after(() => tiny.close());

const ASKS_WEATHER = asksWeather('Let me look.');
const ANSWERS: Answer = [{ text: 'Rome is ' }, { text: 'hot.' }];

const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } as const;
const prompt = 'Where is it hot?';

for (const [version, ai] of [
  [6, ai6],
  [7, ai7 as unknown as typeof ai6], // what is used of it is the same
] as const) {
  describe(`with ai ${version}`, () => {
    const weather = ai.tool({
      description: 'The weather of a city.',
      inputSchema: ai.jsonSchema<{ city: string }>(schema),
      execute: ({ city }) => ({ celsius: city === 'Rome' ? 35 : 5 }),
    });
    const tools = { weather };
    const inSteps = { tools, prompt, stopWhen: ai.stepCountIs(3) };

    test('generateText runs the tools that the model calls, and gives it their results', async () => {
      const { llm, requests } = answering(tiny, [ASKS_WEATHER, ANSWERS], WITH_TOOLS);
      const { text, steps } = await ai.generateText({ ...inSteps, model: languageModel(llm) });
      assert.equal(text, 'Rome is hot.');
      assert.deepEqual(
        steps.map(({ finishReason }) => finishReason),
        ['tool-calls', 'stop'],
      );
      assert.equal(steps[0]?.reasoningText, 'Two cities.');
      const [first, second] = requests.map(({ input }) => input);
      assert.deepEqual(first?.tools, [
        { type: 'function', function: { name: 'weather', description: 'The weather of a city.', parameters: schema } },
      ]);
      const call = (id: string, city: string) => ({
        id,
        type: 'function',
        function: { name: 'weather', arguments: { city } },
      });
      assert.deepEqual(second?.messages, [
        { role: 'user', content: [{ type: 'text', text: prompt }] },
        {
          role: 'assistant',
          content: 'Let me look.',
          reasoning_content: 'Two cities.',
          tool_calls: [call('call_1', 'Rome'), call('call_2', 'Oslo')],
        },
        { role: 'tool', tool_call_id: 'call_1', name: 'weather', content: '{"celsius":35}' },
        { role: 'tool', tool_call_id: 'call_2', name: 'weather', content: '{"celsius":5}' },
      ]);
    });

    test('streamText streams reasoning, text and the input of tools as they come', async () => {
      const { llm } = answering(tiny, [ASKS_WEATHER, ANSWERS], WITH_TOOLS);
      const seen: string[] = [];
      for await (const part of ai.streamText({ ...inSteps, model: languageModel(llm) }).fullStream) {
        if (part.type === 'tool-input-delta') seen.push(part.delta);
        else if (part.type === 'tool-result') seen.push(JSON.stringify(part.output));
        else if (part.type === 'reasoning-delta' || part.type === 'text-delta') seen.push(`${part.type}: ${part.text}`);
        else seen.push(part.type);
      }
      // Results come as the tools end.
      const results = seen.filter((each) => each.startsWith('{"celsius"'));
      assert.deepEqual(results.toSorted(), ['{"celsius":35}', '{"celsius":5}']);
      assert.deepEqual(
        seen.filter((each) => !results.includes(each)),
        [
          ...['start', 'start-step', 'reasoning-start', 'reasoning-delta: Two ', 'reasoning-delta: cities.'],
          ...['reasoning-end', 'text-start', 'text-delta: Let me look.', 'text-end'],
          ...['tool-input-start', '{"city"', ':"Rome"}', 'tool-input-end', 'tool-call'],
          ...['tool-input-start', '{"city":', '"Oslo"}', 'tool-input-end', 'tool-call', 'finish-step'],
          ...[
            'start-step',
            'text-start',
            'text-delta: Rome is ',
            'text-delta: hot.',
            'text-end',
            'finish-step',
            'finish',
          ],
        ],
      );
    });

    test('a call whose input is cut is an invalid one, and not lost', async () => {
      const cut: Answer = [{ toolCalls: [{ index: 0, id: 'call_1', name: 'weather', arguments: '{"ci' }] }];
      for (const read of [
        async (call: Parameters<typeof ai.generateText>[0]) => (await ai.generateText(call)).toolCalls,
        async (call: Parameters<typeof ai.streamText>[0]) => await ai.streamText(call).toolCalls,
      ]) {
        const [call] = await read({ tools, prompt, model: languageModel(answering(tiny, [cut], WITH_TOOLS).llm) });
        assert.ok(call?.dynamic && call.invalid);
        assert.equal(call.input, '{"ci');
      }
    });

    test('toolChoice none and tool choose what the model is offered; a call that nothing forces is a warning', async () => {
      const { llm, requests } = answering(tiny, [ANSWERS, ASKS_WEATHER, ASKS_WEATHER], WITH_TOOLS);
      const both = { weather, other: weather };
      const warned = async (toolChoice: ai6.ToolChoice<typeof both>): Promise<unknown> =>
        (await ai.generateText({ tools: both, prompt, toolChoice, model: languageModel(llm) })).warnings?.map(
          (warning) => 'feature' in warning && warning.feature,
        );
      assert.deepEqual(await warned('none'), []);
      assert.deepEqual(await warned({ type: 'tool', toolName: 'weather' }), ['toolChoice tool']);
      assert.deepEqual(await warned('required'), ['toolChoice required']);
      const offered = requests.map(({ input }) => input.tools?.map((each) => (each.function as { name: string }).name));
      assert.deepEqual(offered, [undefined, ['weather'], ['weather', 'other']]);
    });

    test('toolChoice required and tool hold the answer to a call where the executor can', async () => {
      const { llm, requests } = answering(tiny, [ASKS_WEATHER], { ...WITH_TOOLS, capabilities: { guided: true } });
      const toolChoice = { type: 'tool', toolName: 'weather' } as const;
      const call = { model: languageModel(llm), prompt, tools: { weather, other: weather }, toolChoice };
      assert.deepEqual((await ai.generateText(call)).warnings, []);
      const [request] = requests;
      const { guided, responseTemplate } = forceToolCall(request?.input.tools ?? []);
      assert.deepEqual([request?.options.guided, request?.options.responseTemplate], [guided, responseTemplate]);
      assert.deepEqual(request?.input.templateVars, { enable_thinking: false });
    });

    test('what is held to a format, or to a call, leaves reasoning on where the format begins behind it', async () => {
      const capabilities = { ...tiny.capabilities, guided: true };
      const info = { ...tiny.info, guidedAfterReasoning: true };
      const { llm, requests } = answering(tiny, [ASKS_WEATHER, JSON_TEXT], { ...WITH_TOOLS, capabilities, info });
      const model = languageModel(llm);
      const call = await ai.generateText({ model, prompt, tools: { weather }, toolChoice: 'required' });
      assert.deepEqual(call.warnings, []);
      const { responseTemplate } = forceToolCall(requests[0]?.input.tools ?? [], llm);
      assert.deepEqual(requests[0]?.options.responseTemplate, responseTemplate);
      await ai.generateText({ model, prompt, output });
      assert.deepEqual(requests[1]?.options.guided, { jsonSchema: schema });
      assert.equal(requests[1]?.options.responseTemplate, undefined);
      for (const { input } of requests) assert.equal(input.templateVars, undefined);
      const unmarked = answering(tiny, [ASKS_WEATHER], { tokenizer: WITH_TOOLS.tokenizer, capabilities, info });
      await ai.generateText({ model: languageModel(unmarked.llm), prompt, tools: { weather }, toolChoice: 'required' });
      assert.deepEqual(unmarked.requests[0]?.input.templateVars, { enable_thinking: false }, 'its marks are not known');
    });

    test('tools that the model cannot call are left out with a warning', async () => {
      const { llm, requests } = answering(tiny, [ANSWERS]);
      const { warnings, text } = await ai.generateText({ tools, prompt, model: languageModel(llm) });
      assert.equal(text, 'Rome is hot.');
      assert.deepEqual(
        warnings?.map((warning) => 'feature' in warning && warning.feature),
        ['tools'],
      );
      assert.equal(requests[0]?.input.tools, undefined);
    });

    const output = ai.Output.object({ schema: ai.jsonSchema<{ city: string }>(schema) });
    const JSON_TEXT: Answer = [{ text: '{"city":"Rome"}' }];

    test('Output.object becomes guided where the executor has it, without reasoning', async () => {
      const capabilities = { ...tiny.capabilities, guided: true };
      const { llm, requests } = answering(tiny, [JSON_TEXT], { ...WITH_TOOLS, capabilities });
      const result = await ai.generateText({ output, prompt, model: languageModel(llm) });
      assert.deepEqual(result.output, { city: 'Rome' });
      assert.deepEqual(result.warnings, []);
      assert.deepEqual(requests[0]?.options.guided, { jsonSchema: schema });
      assert.equal(requests[0]?.options.responseTemplate, false);
      assert.deepEqual(requests[0]?.input.templateVars, { enable_thinking: false });
    });

    test('Output.object is a warning where nothing enforces it', async () => {
      const { llm, requests } = answering(tiny, [JSON_TEXT, JSON_TEXT], WITH_TOOLS);
      for (const options of [{}, { tools }]) {
        const result = await ai.generateText({ ...options, output, prompt, model: languageModel(llm) });
        assert.deepEqual(result.output, { city: 'Rome' });
        assert.deepEqual(
          result.warnings?.map((warning) => 'feature' in warning && warning.feature),
          ['responseFormat json'],
        );
      }
      assert.equal(requests[0]?.options.guided, undefined);
    });
  });
}

test('calls and reasoning that an engine writes come as parts, and results go back to it', async () => {
  const llm = await loadSaying();
  const asked = saying(
    '<think>\nhm\n</think>\n\n<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>',
  );
  const weather = ai7.tool({
    inputSchema: ai7.jsonSchema<{ city: string }>(schema),
    execute: ({ city }) => saying(`${city} is hot.`),
  });
  const model = languageModel(llm);
  const result = ai7.streamText({ model, prompt: asked, tools: { weather }, stopWhen: ai7.stepCountIs(2) });
  const [first, second] = await result.steps;
  assert.equal(first?.reasoningText, 'hm');
  assert.equal(first?.text, '');
  assert.equal(second?.text, 'Rome is hot.');
  assert.equal(await result.finishReason, 'stop');
  await llm.close();
});

test("ai 7's reasoning switches that of the chat template", async () => {
  const { llm, requests } = answering(tiny, [ANSWERS, ANSWERS, ANSWERS], WITH_TOOLS);
  const model = languageModel(llm);
  await ai7.generateText({ model, prompt, reasoning: 'none' });
  await ai7.generateText({ model, prompt, reasoning: 'high' });
  const providerOptions = { 'node-tensorrt-llm': { templateVars: { enable_thinking: true } } };
  await ai7.generateText({ model, prompt, reasoning: 'none', providerOptions });
  const variables = requests.map(({ input }) => input.templateVars);
  assert.deepEqual(variables, [{ enable_thinking: false }, { enable_thinking: true }, { enable_thinking: true }]);
  const { warnings } = await ai7.generateText({
    model: languageModel(answering(tiny, [ANSWERS]).llm),
    prompt,
    reasoning: 'low',
  });
  assert.deepEqual(
    warnings?.map((warning) => 'feature' in warning && warning.feature),
    ['reasoning'],
  );
});

test('raw chunks are those of the Generation', async () => {
  const model = languageModel(answering(tiny, [ANSWERS]).llm);
  const raw: unknown[] = [];
  for await (const part of ai6.streamText({ model, prompt, includeRawChunks: true }).fullStream) {
    if (part.type === 'raw') raw.push((part.rawValue as { text: string }).text);
  }
  assert.deepEqual(raw, ['Rome is ', 'hot.']);
});
