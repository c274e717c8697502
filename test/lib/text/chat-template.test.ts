import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ChatMessage, Tool } from '#lib/base/types.js';
import { ChatTemplate, type ChatTemplateOptions } from '#lib/text/chat-template.js';
import type { TokenizerOptions } from '#lib/text/tokenizer.js';
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
const specialTokens = { bos_token: '<|begin|>', eos_token: '<|end|>' };
const named = (source = ''): Pick<TokenizerOptions, 'chatTemplates' | 'specialTokens'> => ({
  chatTemplates: new Map([['default', source]]),
  specialTokens,
});
const templateVars = { date_string: '26 Jul 2024' };
const USER = { role: 'user', content: 'hello' };

for (const [name, chatTemplate] of Object.entries(templates)) {
  test(`${name}: text, ids and refusals are those of Hugging Face transformers`, async () => {
    const tokenizer = await loadFixture('byte-level', named(chatTemplate));
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

const jinja = readFixture<{
  messages: ChatMessage[];
  variables: Record<string, unknown>;
  rows: { template: string; text?: string; refused?: string }[];
}>('jinja.golden.json');

describe('a template gives what Hugging Face transformers gives:', () => {
  for (const { template, text, refused } of jinja.rows) {
    test(JSON.stringify(template), () => {
      const rendered = (): string =>
        new ChatTemplate(template, {}, { timeMs: 60_000 }).render(jinja.messages, { templateVars: jinja.variables });
      if (refused === undefined) assert.equal(rendered(), text);
      else assert.throws(rendered, { code: 'ERR_CHAT_TEMPLATE' }, refused);
    });
  }
});

const parts = (...texts: string[]): unknown[] => texts.map((text) => ({ type: 'text', text }));

describe('parts of a content', () => {
  const rendered = (source: string, content: readonly unknown[]): string =>
    new ChatTemplate(source, {}).render([{ role: 'user', content }]);

  for (const source of [
    "{% for m in messages %}{{ '<' + m['content'] + '>' }}{% endfor %}",
    '{% for m in messages %}<{{ m.content | trim }}>{% endfor %}',
    "{% for m in messages %}{% if m.content is string %}{% set c = m.content %}{% else %}{% set c = '' %}{% endif %}<{{ c }}>{% endfor %}",
    '{% for m in messages %}{% for c in m.content if 0 %}{% endfor %}<{{ m.content }}>{% endfor %}',
  ]) {
    test(`are joined, a line each, for ${source}`, () => {
      assert.equal(rendered(source, parts('Hi', 'there')), '<Hi\nthere>');
    });
  }

  for (const source of [
    "{% for m in messages %}{% for c in m['content'] %}<{{ c.type }}{{ c.text }}>{% endfor %}{% endfor %}",
    '{% macro r(content) %}{% for c in content %}<{{ c.type }}{{ c.text }}>{% endfor %}{% endmacro %}{{ r(messages[0].content) }}',
    "{% set x = messages[0].get('content') %}{% set y = x if x else [] %}{% for c in y %}<{{ c.type }}{{ c.text }}>{% endfor %}",
    "<{{ messages[0].content[0].type }}{{ messages[0].content[0]['text'] }}><text{{ messages[0].content | map(attribute='text') | list | last }}>",
  ]) {
    test(`come as they are to ${source}`, () => {
      assert.equal(rendered(source, parts('Hi', 'there')), '<textHi><textthere>');
    });
  }

  test('that a template goes through are one text where it adds, compares or searches one', () => {
    const loop = '{% for c in messages[0].content %}{{ c.type }}{% endfor %}';
    for (const [source, text] of [
      ["{{ 'a' + messages[0].content }}", 'aHi\nyou'],
      ["{{ messages[0].content ~ 'a' }}", 'Hi\nyoua'],
      ["{{ messages[0].content.split('\\n')[1] }}", 'you'],
      ["{{ 'i\\ny' in messages[0].content }}", 'True'],
      ["{{ messages[0].content == 'Hi\\nyou' }}", 'True'],
      ['{{ messages[0].content | upper }}', 'HI\nYOU'],
      ['{{ messages[0].content is string }}', 'False'],
      ['{{ messages[0].content | length }}', '2'],
      ['{{ messages[0].content | tojson }}', '[{"type": "text", "text": "Hi"}, {"type": "text", "text": "you"}]'],
    ] as const) {
      assert.equal(rendered(loop + source, parts('Hi', 'you')), `texttext${text}`, source);
    }
  });

  for (const [part, message] of [
    [{ type: 'image_url', image_url: { url: 'x' } }, /^messages\[0\]\.content\[1\] has the type "image_url"; expected/],
    [{ type: 'text' }, /^messages\[0\]\.content\[1\] has no text; expected/],
    ['Hi', /^messages\[0\]\.content\[1\] is of type string; expected/],
  ] as const) {
    test(`of which one is ${JSON.stringify(part)} are refused where the template takes text`, () => {
      assert.throws(() => rendered('{{ messages[0].content }}', [...parts('Hi'), part]), {
        code: 'ERR_INVALID_INPUT',
        message,
      });
    });
  }
});

test('a message without content is taken where it has something else', () => {
  const source =
    '{% for m in messages %}{{ m.role }}:{% if m.tool_calls %}{{ m.tool_calls[0].function.name }}{% else %}{{ m.content }}{% endif %} {% endfor %}';
  const call = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } };
  const messages: ChatMessage[] = [USER, { role: 'assistant', tool_calls: [call] }];
  assert.equal(new ChatTemplate(source, {}).render(messages), 'user:hello assistant:f ');
  assert.equal(
    new ChatTemplate("{{ 'content' in messages[1] }}", {}).render([
      USER,
      { ...messages[1], content: undefined } as ChatMessage,
    ]),
    'False',
  );
});

describe('arguments of a call that come as JSON text', () => {
  const rendered = (source: string, text: string): string => {
    const call = { id: 'a', type: 'function', function: { name: 'f', arguments: text } };
    const template = `{% set args = messages[0].tool_calls[0].function.arguments %}${source}`;
    return new ChatTemplate(template, {}).render([{ role: 'assistant', tool_calls: [call] }]);
  };

  test('are an object for a template that reads one', () => {
    const text = '{"b":1,"a":"x"}';
    assert.equal(rendered('{{ args | tojson }}', text), '{"b": 1, "a": "x"}');
    assert.equal(rendered('{% for k, v in args | items %}{{ k }}={{ v }};{% endfor %}', text), 'b=1;a=x;');
    assert.equal(rendered('{{ args is mapping }} {{ args is string }} {{ args.a }}', text), 'True False x');
  });

  test('are the text, as it was written, for a template that adds, writes or cuts it', () => {
    for (const source of ["{{ 'f' + args }}", "{{ 'f' ~ args }}", 'f{{ args }}', "{{ 'f' + args.strip() }}"]) {
      assert.equal(rendered(source, '{"b":1}'), 'f{"b":1}', source);
    }
  });

  test('are the text where it holds no object', () => {
    for (const text of ['{"b": ', '3', ''])
      assert.equal(rendered('{{ args }}{{ args is string }}', text), `${text}True`);
  });
});

test('reasoning is found by the name that the template reads, as in Hugging Face transformers', () => {
  const source = '{{ messages[0].reasoning_content }} {{ messages[0].thinking }}';
  for (const name of ['reasoning_content', 'thinking', 'reasoning']) {
    assert.equal(new ChatTemplate(source, {}).render([{ role: 'assistant', content: 'a', [name]: 'r' }]), 'r r', name);
  }
});

test('a conversation is encoded with one start token, the one its template writes', async () => {
  const tokenizer = await loadFixture('byte-level', named(templates['llama-3.1']));
  const [begin = -1] = await tokenizer.encode('');
  const ids = await tokenizer.encodeChat([USER]);
  assert.equal(ids.filter((id) => id === begin).length, 1);
});

const render = (source: string, vars?: Record<string, unknown>): string =>
  new ChatTemplate(source, { bos_token: '<s>' }).render([USER], vars ? { templateVars: vars } : {});

test('a template sees tools as none where there are none, and a variable of the request before one of the model', () => {
  assert.equal(render('{{ tools is none }} {{ documents is none }} {{ bos_token }}'), 'True True <s>');
  assert.equal(render('{{ bos_token }}{{ thinking }}', { bos_token: '', thinking: 'on' }), 'on');
});

test('strftime_now is English and the lines of the template stay as they are', () => {
  const months = 'January|February|March|April|May|June|July|August|September|October|November|December';
  assert.match(render('\n{{ strftime_now("%B") }}\n!'), new RegExp(`^\n(${months})\n!$`));
});

test('null options of a template and of encoding count as left out', async () => {
  const chatTemplates = new Map([
    ['default', '{{ add_generation_prompt }} {{ tools is none }}'],
    ['tool_use', 'tools'],
  ]);
  const tokenizer = await loadFixture('byte-level', { chatTemplates });
  const none = { tools: null, chatTemplate: null, addGenerationPrompt: null, templateVars: null } as object;
  for (const options of [none, null as unknown as object]) {
    assert.equal(tokenizer.applyChatTemplate([USER], options), 'True True');
  }
  const all = await tokenizer.encode('a');
  for (const options of [null, { addSpecialTokens: null, maxTokens: null, signal: null }] as unknown as object[]) {
    assert.deepEqual(await tokenizer.encode('a', options), all);
  }
  for (const options of [null, { skipSpecialTokens: null }] as unknown as object[]) {
    assert.equal(tokenizer.decode(all, options), tokenizer.decode(all));
  }
});

test('what a template raises is the message of the error', () => {
  const source = "{{ raise_exception('Only user roles, please') }}";
  assert.throws(() => render(source), { code: 'ERR_CHAT_TEMPLATE', message: /: Only user roles, please$/ });
});

test('a template that cannot be parsed fails at each use, and never when it is made', () => {
  const template = new ChatTemplate('{% for message in messages %}', {});
  for (let use = 0; use < 2; use++) assert.throws(() => template.render([USER]), { code: 'ERR_CHAT_TEMPLATE' });
});

describe('of several templates', () => {
  const messages = [USER];
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const load = (names: readonly string[]): ReturnType<typeof loadFixture> =>
    loadFixture('byte-level', { chatTemplates: new Map(names.map((name) => [name, `${name}!`])) });

  test('tool_use is for messages with tools, default for others, and any can be named', async () => {
    const tokenizer = await load(['tool_use', 'default', 'rag']);
    assert.equal(tokenizer.applyChatTemplate(messages), 'default!');
    assert.equal(tokenizer.applyChatTemplate(messages, { tools }), 'tool_use!');
    assert.equal(tokenizer.applyChatTemplate(messages, { tools: [] }), 'tool_use!', 'as in transformers');
    assert.equal(tokenizer.applyChatTemplate(messages, { tools: undefined }), 'default!');
    assert.equal(tokenizer.applyChatTemplate(messages, { tools, chatTemplate: 'rag' }), 'rag!');
    assert.equal((await load(['default'])).applyChatTemplate(messages, { tools }), 'default!');
  });

  test('where none is the default, or has the name, the error names those there are', async () => {
    const tokenizer = await load(['tool_use', 'rag']);
    const refused = (chatTemplate: string | undefined, message: string): void =>
      assert.throws(() => tokenizer.applyChatTemplate(messages, { chatTemplate }), {
        code: 'ERR_CHAT_TEMPLATE',
        message,
      });
    refused(undefined, 'chatTemplate is missing, and this model has no default; expected "tool_use" or "rag".');
    refused('zz', 'chatTemplate is "zz"; expected "tool_use" or "rag".');
    assert.equal(tokenizer.applyChatTemplate(messages, { tools }), 'tool_use!');
  });
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
