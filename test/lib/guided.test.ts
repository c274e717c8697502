import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { generateText, jsonSchema, Output } from 'ai-7';
import { forceToolCall, LLM } from 'node-tensorrt-llm';
import { languageModel } from 'node-tensorrt-llm/ai-sdk';
import { ChatNodeTensorRTLLM } from 'node-tensorrt-llm/langchain';
import { createHandler } from 'node-tensorrt-llm/server';
import OpenAI from 'openai';
import { addonDirectory } from '#lib/addon/addon.js';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { failsAbout, failsWith } from '../tools/fails-with.js';
import { packageWith } from '../tools/package-copy.js';
import { type HandlerServer, serveHandler } from '../tools/serve-handler.js';

const isBuilt = existsSync(join(addonDirectory(), 'libguidance.so'));

let llm: LLM;
before(async () => {
  llm = await LLM.load(await tinyEngine(), { executor: 'cpu' });
});
after(() => llm.close());

describe('where libguidance.so is missing', () => {
  test('an engine loads, and a request with guided is refused with what it needs', async () => {
    const bare = await (await packageWith()).LLM.load(await tinyEngine(), { executor: 'cpu' });
    try {
      assert.equal(bare.capabilities.guided, false);
      await assert.rejects(
        bare.generate('Once', { guided: { json: true } }),
        failsAbout('guided', 'ERR_UNSUPPORTED', /tokenizer and an end token.*libguidance\.so.*npm run build:guidance/),
      );
    } finally {
      await bare.close();
    }
  });

  test("guidedDecoding: 'llguidance' is one error that names the file and the fix", async () => {
    const bare = await packageWith();
    await assert.rejects(
      bare.LLM.load(await tinyEngine(), { executor: 'cpu', guidedDecoding: 'llguidance' }),
      failsAbout('guidedDecoding', 'ERR_EXECUTOR_UNAVAILABLE', /libguidance\.so.*Reinstall.*npm run build:guidance/),
    );
  });
});

test("the CPU executor refuses guidedDecoding: 'xgrammar' by name", async () => {
  await assert.rejects(
    LLM.load(await tinyEngine(), { executor: 'cpu', guidedDecoding: 'xgrammar' }),
    failsAbout('guidedDecoding', 'ERR_UNSUPPORTED', /is 'xgrammar'; expected 'llguidance'.*Remove it\.$/),
  );
});

test('an engine without a tokenizer loads, and cannot be guided', async () => {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  await rm(join(dir, 'tokenizer.json'));
  const bare = await LLM.load(dir, { executor: 'cpu' });
  assert.equal(bare.capabilities.guided, false);
  await bare.close();
  await assert.rejects(
    LLM.load(dir, { executor: 'cpu', guidedDecoding: 'llguidance' }),
    failsWith('ERR_TOKENIZER_MISSING', 'guidedDecoding'),
  );
});

test('where other options leave no token that the format allows, the error names guided', {
  skip: isBuilt ? false : 'libguidance.so is not built: npm run build:guidance',
}, async () => {
  await assert.rejects(
    llm.generate('Once', { guided: { regex: 'ab' }, minTokens: 9 }),
    failsWith('ERR_INVALID_OPTION', 'expected one that guided allows'),
  );
});

// The model's weights are random: the schema leaves it no white space to fill.
const schema = {
  type: 'object',
  properties: { city: { enum: ['Rome', 'Oslo'] }, hot: { type: 'boolean' } },
  required: ['city', 'hot'],
  additionalProperties: false,
  'x-guidance': { whitespace_flexible: false },
};

interface Report extends Record<string, unknown> {
  city?: string;
  hot?: boolean;
}

function assertReport(report: Report): void {
  assert.deepEqual(Object.keys(report), ['city', 'hot']);
  assert.ok(report.city === 'Rome' || report.city === 'Oslo');
  assert.equal(typeof report.hot, 'boolean');
}

async function engineWithTemplate(template: string): Promise<string> {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  await writeFile(join(dir, 'chat_template.jinja'), template);
  return dir;
}

/** By token, which is a byte. */
const NO_WHITE_SPACE = { 9: -100, 10: -100, 13: -100, 32: -100 };

test('a libguidance.so that cannot be opened fails only loads that ask for it', async () => {
  const broken = join(await temporaryDirectory(), 'libguidance.so');
  await writeFile(broken, 'not a library');
  const damaged = await packageWith({ 'libguidance.so': broken });
  const options = { executor: 'cpu', isolation: 'process' } as const; // in this one the library may be open
  const bare = await damaged.LLM.load(await tinyEngine(), options);
  assert.equal(bare.capabilities.guided, false);
  assert.equal((await bare.generate('Once', { maxTokens: 2 })).outputs.length, 1);
  await bare.close();
  await assert.rejects(
    damaged.LLM.load(await tinyEngine(), { ...options, guidedDecoding: 'llguidance' }),
    failsAbout('guidedDecoding', 'ERR_EXECUTOR_UNAVAILABLE', /libguidance\.so.*npm run build:guidance/),
  );
});

describe('with a reasoning template, guided holds', {
  skip: isBuilt ? false : 'libguidance.so is not built: npm run build:guidance',
}, () => {
  let verbatim: LLM;
  before(async () => {
    verbatim = await LLM.load(await engineWithTemplate('{{ messages[-1].content }}'), { executor: 'cpu' });
  });
  after(() => verbatim.close());

  const templateOf = (close: string) => ({
    start_anchor: 'A:',
    fields: { reasoning: { open: '<', close }, content: {} },
  });
  /** The model has a token for each byte. */
  const ask = (content: string, likely: string, close: string) =>
    verbatim.generate(
      { messages: [{ role: 'user', content }] },
      {
        guided: { regex: '[ab]{3}' },
        logitBias: { [likely.charCodeAt(0)]: 100 },
        responseTemplate: templateOf(close),
      },
    );

  test('behind the reasoning that the prompt has begun', async () => {
    const { text, reasoning, finishReason } = await ask('A:<x', '>', '>');
    assert.match(text, /^[ab]{3}$/);
    assert.deepEqual([reasoning ?? '', finishReason], ['', 'stop']);
  });

  test('a forced call behind the reasoning', async () => {
    const tools = [{ type: 'function', function: { name: 'clock', parameters: { enum: [{}] } } }];
    const forced = forceToolCall(tools, { info: verbatim.info, responseTemplate: templateOf('>') });
    const { text, toolCalls, finishReason } = await verbatim.generate(
      { messages: [{ role: 'user', content: 'A:<{' }], tools },
      { ...forced, logitBias: { ...NO_WHITE_SPACE, ['>'.charCodeAt(0)]: 100 } },
    );
    const [call] = toolCalls ?? [];
    assert.deepEqual([text, call?.name, finishReason], ['', 'clock', 'stop']);
    assert.deepEqual(JSON.parse(call?.arguments ?? ''), {});
  });

  test('behind the reasoning that the model begins', async () => {
    const { text, finishReason, outputs } = await ask('A:', '<', '<<');
    assert.match(text, /^[ab]{3}$/);
    assert.deepEqual([outputs[0]?.tokens.length, finishReason], ['<<<aaa'.length, 'stop']);
  });

  test('from the first token on where the prompt has ended the reasoning', async () => {
    const { text, reasoning } = await ask('A:<x>', '<', '>');
    assert.match(text, /^[ab]{3}$/);
    assert.equal(reasoning, undefined);
  });
});

describe('the answer keeps to', {
  skip: isBuilt ? false : 'libguidance.so is not built: npm run build:guidance',
}, () => {
  let server: HandlerServer;
  let client: OpenAI;
  let withTools: LLM;
  before(async () => {
    const dir = await engineWithTemplate('{# tools <tool_call> #}{{ messages[-1].content }}');
    withTools = await LLM.load(dir, { executor: 'cpu' });
    server = await serveHandler(createHandler({ tiny: llm, tools: withTools }));
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  });
  after(async () => {
    await server.close();
    await withTools.close();
  });

  test('response_format of a chat, whole or streamed', async () => {
    const fields = {
      model: 'tiny',
      messages: [{ role: 'user' as const, content: 'Where is it hot?' }],
      response_format: { type: 'json_schema' as const, json_schema: { name: 'report', schema } },
    };
    const { choices } = await client.chat.completions.create(fields);
    assertReport(JSON.parse(choices[0]?.message.content ?? ''));
    let text = '';
    for await (const chunk of await client.chat.completions.create({ ...fields, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? '';
    }
    assertReport(JSON.parse(text));
  });

  test('text.format of a response', async () => {
    const format = { type: 'json_schema' as const, name: 'report', schema };
    const { output_text } = await client.responses.create({ model: 'tiny', input: 'Where?', text: { format } });
    assertReport(JSON.parse(output_text));
  });

  test("Output.object of Vercel's AI SDK", async () => {
    const output = Output.object({ schema: jsonSchema<{ city: string; hot: boolean }>(schema as object) });
    const result = await generateText({ model: languageModel(llm), prompt: 'Where is it hot?', output });
    assert.deepEqual(result.warnings, []);
    assertReport(result.output);
  });

  test('tool_choice, whether any tool is required or one is named', async () => {
    const tools = ['weather', 'clock'].map((name) => ({
      type: 'function' as const,
      function: { name, parameters: schema },
    }));
    for (const [tool_choice, names] of [
      ['required', /^(weather|clock)$/],
      [{ type: 'function', function: { name: 'clock' } }, /^clock$/],
    ] as const) {
      const { choices } = await client.chat.completions.create({
        model: 'tools',
        messages: [{ role: 'user', content: 'Where?' }],
        tools,
        tool_choice,
        logit_bias: NO_WHITE_SPACE,
      });
      const [call] = choices[0]?.message.tool_calls ?? [];
      assert.ok(call?.type === 'function', JSON.stringify(choices));
      assert.match(call.function.name, names);
      assertReport(JSON.parse(call.function.arguments));
    }
  });

  test("withStructuredOutput of LangChain's models", async () => {
    const model = new ChatNodeTensorRTLLM({ llm }).withStructuredOutput<Report>(schema);
    assertReport(await model.invoke('Where is it hot?'));
  });

  test('a schema that it cannot enforce is an error about response_format', async () => {
    const json_schema = { name: 'odd', schema: { not: { type: 'string' } } };
    await assert.rejects(
      client.chat.completions.create({
        model: 'tiny',
        messages: [{ role: 'user', content: 'Where?' }],
        response_format: { type: 'json_schema', json_schema },
      }),
      (error) =>
        error instanceof OpenAI.BadRequestError && error.param === 'response_format' && /"not"/.test(error.message),
    );
  });
});
