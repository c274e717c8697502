import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type Chunk,
  type GenerateOptions,
  LLM,
  type ResponseTemplate,
  type Result,
  type ToolCall,
} from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { recordingLogger } from '../../tools/recording-logger.js';

/** Gives the last message, and has the marks of a known format. */
const TEMPLATE = '{# <think> <tool_call> #}{{ messages[-1].content }}<|im_start|>assistant\n{{ opening }}';

const executor = { library: SCRIPTED_LIBRARY };

/** What the scripted executor says to `saying(text)` is `text`. */
const saying = (text: string) => ({ role: 'user', content: `\x02${text}\x03` });

async function engine(tokenizerConfig: object = {}): Promise<string> {
  const dir = await scriptedEngine({ echo: true, step_ms: 1 });
  await writeFile(join(dir, 'chat_template.jinja'), TEMPLATE);
  const file = join(dir, 'tokenizer_config.json');
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), ...tokenizerConfig }));
  return dir;
}

let llm: LLM;
before(async () => {
  llm = await LLM.load(await engine(), { executor });
});
after(() => llm.close());

const tools = [{ type: 'function', function: { name: 'weather' } }];
const CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>';
const ANSWER = `<think>\nhm\n</think>\n\nLet me see.\n${CALL}`;

const ask = (text: string, options: GenerateOptions = {}): Promise<Result> =>
  llm.generate({ messages: [saying(text)], tools }, options);

const withoutIds = (calls: readonly ToolCall[] | undefined): unknown => calls?.map(({ id, ...call }) => call);
const ROME = { name: 'weather', arguments: '{"city": "Rome"}' };

test('reasoning and tool calls are apart from the text, in the output and in the result', async () => {
  const { text, reasoning, toolCalls, finishReason, outputs } = await ask(ANSWER);
  assert.deepEqual([text, reasoning, withoutIds(toolCalls), finishReason], ['Let me see.', 'hm', [ROME], 'stop']);
  const [output] = outputs;
  assert.deepEqual([output?.text, output?.reasoning, output?.toolCalls], [text, reasoning, toolCalls]);
  assert.deepEqual(
    Object.keys(await ask('Hi')).filter((key) => key === 'reasoning' || key === 'toolCalls'),
    [],
  );
});

test('chunks have the parts as they come, and joined they are those of the result', async () => {
  const generation = llm.stream({ messages: [saying(ANSWER)], tools });
  const chunks: Chunk[] = [];
  for await (const chunk of generation) chunks.push(chunk);
  const { text, reasoning, toolCalls, outputs } = await generation.result;
  assert.equal(chunks.map((chunk) => chunk.text).join(''), text);
  assert.equal(chunks.map((chunk) => chunk.reasoning ?? '').join(''), reasoning);
  const deltas = chunks.flatMap((chunk) => chunk.toolCalls ?? []);
  const [first, ...others] = deltas;
  assert.deepEqual([first?.index, first?.id, first?.name], [0, toolCalls?.[0]?.id, 'weather']);
  assert.ok(others.length > 1, 'the arguments came in one piece');
  for (const delta of others) assert.deepEqual(Object.keys(delta), ['index', 'arguments']);
  assert.equal(deltas.map((delta) => delta.arguments).join(''), ROME.arguments);
  assert.equal(chunks.flatMap(({ tokens }) => [...tokens]).length, outputs[0]?.tokens.length);
  assert.equal(chunks.at(-1)?.finishReason, 'stop');
});

test('without tools only reasoning is looked for', async () => {
  const { text, reasoning, toolCalls } = await llm.generate({ messages: [saying(ANSWER)] });
  assert.deepEqual([text, reasoning, toolCalls], [`Let me see.\n${CALL}`, 'hm', undefined]);
});

test('a prompt without messages, and responseTemplate: false, leave the text as it is', async () => {
  assert.equal((await llm.generate(`\x02${ANSWER}\x03`)).text, ANSWER);
  const { text, reasoning, toolCalls } = await ask(ANSWER, { responseTemplate: false });
  assert.deepEqual([text, reasoning, toolCalls], [ANSWER, undefined, undefined]);
});

test('reasoning that the prompt has begun goes on in the answer', async () => {
  const templateVars = { opening: '<think>\n' };
  const { text, reasoning } = await llm.generate({ messages: [saying('hm\n</think>\n\nHi.')], templateVars });
  assert.deepEqual([text, reasoning], ['Hi.', 'hm']);
});

test('a special token that is a mark is seen, and any other is left out', async () => {
  const responseTemplate: ResponseTemplate = {
    start_anchor: 'assistant\n',
    fields: { reasoning_content: { open: '<|im_start|>', close: '!' }, content: {} },
  };
  const answer = 'Hi <|im_start|>hm! you';
  const read = await ask(answer, { responseTemplate });
  assert.deepEqual([read.text, read.reasoning], ['Hi  you', 'hm']);
  assert.equal((await ask(answer)).text, 'Hi hm! you');
  assert.equal((await ask(answer, { skipSpecialTokens: false })).text, answer);
});

test('each of several outputs is read on its own', async () => {
  const { outputs } = await ask(ANSWER, { n: 2, temperature: 1 });
  for (const output of outputs) {
    assert.deepEqual([output.text, output.reasoning, withoutIds(output.toolCalls)], ['Let me see.', 'hm', [ROME]]);
  }
  assert.notEqual(outputs[0]?.toolCalls?.[0]?.id, outputs[1]?.toolCalls?.[0]?.id);
});

describe('an answer that ends within a call', () => {
  const cut = (before: string): number => ANSWER.indexOf(before);

  test('by maxTokens keeps the arguments that came', async () => {
    const { text, toolCalls, finishReason } = await ask(ANSWER, { maxTokens: cut('me"}}') });
    assert.deepEqual([text, finishReason], ['Let me see.', 'length']);
    assert.deepEqual(withoutIds(toolCalls), [{ name: 'weather', arguments: '{"city": "Ro' }]);
  });

  test('by maxTokens before its arguments is text', async () => {
    const { text, toolCalls } = await ask(ANSWER, { maxTokens: cut(', "arg') });
    assert.deepEqual([text, toolCalls], ['Let me see.\n<tool_call>\n{"name": "weather"', undefined]);
  });

  test('by a stop string, which is looked for in all that the model writes, ends there', async () => {
    const { toolCalls, finishReason, stopReason } = await ask(ANSWER, { stop: 'Rom' });
    assert.deepEqual([finishReason, stopReason], ['stop', 'Rom']);
    assert.deepEqual(withoutIds(toolCalls), [{ name: 'weather', arguments: '{"city": "' }]);
  });

  test('by abort() keeps what was read of it', async () => {
    const generation = llm.stream({ messages: [saying(ANSWER)], tools });
    for await (const { toolCalls } of generation) if (toolCalls) generation.abort();
    const { toolCalls, finishReason } = await generation.result;
    assert.equal(finishReason, 'cancelled');
    assert.ok(ROME.arguments.startsWith(toolCalls?.[0]?.arguments ?? '?'));
  });
});

test("llm.responseTemplate is the model's own, which comes before one that is known", async () => {
  assert.deepEqual(Object.keys(llm.responseTemplate?.fields ?? {}), ['reasoning_content', 'tool_calls', 'content']);
  const response_template = { start_anchor: 'a', fields: { thinking: { open: '(', close: ')' }, content: {} } };
  const own = await LLM.load(await engine({ response_template }), { executor });
  try {
    assert.deepEqual(own.responseTemplate, response_template);
    const { text, reasoning } = await own.generate({ messages: [saying('(hm) <think>Hi')], tools });
    assert.deepEqual([text, reasoning], ['<think>Hi', 'hm']);
    const attached = LLM.attach(own.handle);
    assert.deepEqual(attached.responseTemplate, response_template);
    await attached.close();
  } finally {
    await own.close();
  }
});

test("a model's own template that cannot be used is ignored, with a warning that names the part", async () => {
  const response_template = { start_anchor: 'a', fields: { thinking: { open_pattern: '(?<!x)y' } } };
  const { logger, lines } = recordingLogger();
  const own = await LLM.load(await engine({ response_template }), { executor, logger });
  try {
    const warning = lines.find((line) => line.includes('response_template'));
    assert.match(warning ?? '', /fields\.thinking\.open_pattern cannot be used: it has \(\?<!/);
    assert.equal((await own.generate({ messages: [saying(ANSWER)], tools })).reasoning, 'hm');
  } finally {
    await own.close();
  }
});

test('a template in the options that is wrong is refused by the name of its part', async () => {
  const refused = (responseTemplate: unknown, ...words: string[]): Promise<void> =>
    assert.rejects(
      ask('Hi', { responseTemplate } as GenerateOptions),
      failsWith('ERR_INVALID_OPTION', ...words, 'expected a response template'),
    );
  await refused({}, 'responseTemplate.fields has no field');
  const start_anchor = 'a';
  await refused({ start_anchor, fields: { x: { opens: 'y' } } }, 'responseTemplate.fields.x.opens is not a known key');
  await refused({ start_anchor, fields: { tool_calls: { open: 'y' } } }, 'fields.tool_calls.content is not one of');
});
