import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatMessage, Tool } from '#lib/base/types.js';
import { ChatTemplate, type ChatTemplateOptions } from '#lib/text/chat-template.js';
import { loadFixture, readFixture } from './fixtures.js';

interface Golden {
  templates: Record<string, string>;
  rows: {
    template: string;
    messages: ChatMessage[];
    tools?: Tool[];
    addGenerationPrompt?: boolean;
    rendered?: string;
    ids?: number[];
    error?: string;
  }[];
}

const { templates, rows } = readFixture<Golden>('chat.golden.json');
const specialTokens = { bosToken: '<|begin|>', eosToken: '<|end|>' };
const templateVars = { date_string: '26 Jul 2024' };
const USER = { role: 'user', content: 'hello' };

for (const [name, chatTemplate] of Object.entries(templates)) {
  test(`${name}: text, ids and refusals are those of Hugging Face transformers`, async () => {
    const tokenizer = await loadFixture('byte-level', { chatTemplate, ...specialTokens });
    for (const { messages, rendered, ids = [], error, tools, addGenerationPrompt = true } of rows.filter(
      ({ template }) => template === name,
    )) {
      const options = { addGenerationPrompt, templateVars, ...(tools && { tools }) };
      if (error !== undefined) {
        assert.throws(
          () => tokenizer.applyChatTemplate(messages, options),
          (thrown: Error & { code?: string }) => thrown.code === 'ERR_CHAT_TEMPLATE' && thrown.message.includes(error),
        );
        continue;
      }
      assert.equal(tokenizer.applyChatTemplate(messages, options), rendered);
      assert.deepEqual([...(await tokenizer.encodeChat(messages, options))], ids);
    }
  });
}

test('a conversation is encoded with one start token, the one its template writes', async () => {
  const tokenizer = await loadFixture('byte-level', { chatTemplate: templates['llama-3.1'], ...specialTokens });
  const [begin = -1] = await tokenizer.encode('');
  const ids = await tokenizer.encodeChat([USER]);
  assert.equal(ids.filter((id) => id === begin).length, 1);
});

const render = (source: string, vars?: Record<string, unknown>): string =>
  new ChatTemplate(source, { bos_token: '<s>' }).render([USER], vars ? { templateVars: vars } : {});

test('a template sees tools as none where there are none, and a variable of the request before one of the model', () => {
  assert.equal(render('{{ tools is none }} {{ documents is none }} {{ bos_token }}'), 'true true <s>');
  assert.equal(render('{{ bos_token }}{{ thinking }}', { bos_token: '', thinking: 'on' }), 'on');
});

test('strftime_now is English and the lines of the template stay as they are', () => {
  const months = 'January|February|March|April|May|June|July|August|September|October|November|December';
  assert.match(render('\n{{ strftime_now("%B") }}\n!'), new RegExp(`^\n(${months})\n!$`));
});

test('what a template raises is the message of the error', () => {
  const source = "{{ raise_exception('Only user roles, please') }}";
  assert.throws(() => render(source), { code: 'ERR_CHAT_TEMPLATE', message: /: Only user roles, please$/ });
});

test('a template that cannot be parsed fails at each use, and never when it is made', () => {
  const template = new ChatTemplate('{% for message in messages %}', {});
  for (let use = 0; use < 2; use++) assert.throws(() => template.render([USER]), { code: 'ERR_CHAT_TEMPLATE' });
});

test('without a template the error names the file to add', async () => {
  const tokenizer = await loadFixture('byte-level');
  assert.throws(() => tokenizer.applyChatTemplate([USER]), {
    code: 'ERR_CHAT_TEMPLATE',
    message: /chat_template\.jinja/,
  });
  await assert.rejects(tokenizer.encodeChat([USER]), { code: 'ERR_CHAT_TEMPLATE' });
});

const WRONG: [messages: unknown, message: RegExp][] = [
  ['hello', /^messages is of type string; expected an array/],
  [[], /^messages is empty/],
  [[USER, null], /^messages\[1\] is null/],
  [[{ content: 'hello' }], /^messages\[0\]\.role is missing; expected a string/],
  [[USER, { role: 'user' }], /^messages\[1\]\.content is missing/],
  [
    [{ role: 'user', content: 5 }],
    /^messages\[0\]\.content is of type number; expected a string, an array of parts, or null/,
  ],
];
for (const [messages, message] of WRONG) {
  test(`messages that are ${JSON.stringify(messages)} are refused by the name of the field`, () => {
    const template = new ChatTemplate('', {});
    assert.throws(() => template.render(messages as ChatMessage[]), { code: 'ERR_INVALID_INPUT', message });
  });
}

test('tools that are no array and variables that are no object are refused', () => {
  const template = new ChatTemplate('', {});
  const refused = (options: unknown, message: RegExp) =>
    assert.throws(() => template.render([USER], options as ChatTemplateOptions), {
      code: 'ERR_INVALID_INPUT',
      message,
    });
  refused({ tools: {} }, /^tools is of type object; expected an array/);
  refused({ templateVars: 'date' }, /^templateVars is of type string; expected an object/);
});
