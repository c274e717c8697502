import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import type { ChatTemplateLimits } from '#lib/base/chat-template-limits.js';
import { LLMError } from '#lib/base/errors.js';
import type { ChatMessage } from '#lib/base/types.js';
import { ChatTemplate, type ChatTemplateOptions } from '#lib/text/chat-template.js';
import { tinyEngine } from '../../tools/engines.js';

const USER = { role: 'user', content: 'hello' };
const render = (source: string, messages: unknown = [USER], options: ChatTemplateOptions = {}): string =>
  new ChatTemplate(source, {}, { timeMs: 60_000 }).render(messages as ChatMessage[], options);

/** A text of 2^doublings times `unit` in `ns.s`, and what is done with it. */
const withText = (doublings: number, rest: string, unit = 'a'): string =>
  `{% set ns = namespace(s='${unit}') %}{% for i in range(${doublings}) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}${rest}`;
/** A list in which each level holds the one below it twice. */
const withPairs = (rest: string): string =>
  `{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}${rest}`;
const again = (body: string): string => `{% for i in range(9000) %}${body}{% endfor %}`;

const BEYOND_LIMITS: Readonly<Record<string, string>> = {
  'nested loops': '{% for i in range(30000) %}{% for j in range(30000) %}{% endfor %}{% endfor %}',
  'a text that doubles': withText(60, '{{ ns.s }}'),
  'a list that doubles':
    '{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}',
  'a list of lists that doubles, written': withPairs('{{ ns.l }}'),
  'a list of lists that doubles, as JSON': withPairs('{{ ns.l | tojson }}'),
  'a list of lists that doubles, joined': withPairs('{{ ns.l | join }}'),
  'lists of lists that double, compared': withPairs('')
    .replace('l=[1]', 'l=[1], m=[1]')
    .replace('[ns.l, ns.l]', '[ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m]')
    .concat('{{ ns.l == ns.m }}'),
  'a list repeated': '{{ ([1] * 100000) * 100000 }}',
  'a text repeated': "{{ 'a' * 1000000000 }}",
  'a width of a thousand million': "{{ 'a'.center(1000000000) ~ '%1000000000d' % 1 }}",
  'a list of lists that doubles, added to a text': withPairs("{{ ns.l ~ 'a' }}"),
  'an indent of 500 million': "{{ 'a\\nb' | indent(500000000) }}",
  'an indent of JSON of 500 million': '{{ [1] | tojson(indent=500000000) }}',
  'a replacement that squares a text': withText(20, "{{ ns.s | replace('a', ns.s) }}"),
  'a text joined by itself': withText(20, '{{ ns.s | join(ns.s) }}'),
  'a search that takes the product of both lengths': withText(20, "{{ ('b' ~ ns.s[:500000]) in ns.s }}"),
  'splits into letters': withText(20, again("{% set x = ns.s.split('a') %}")),
  'splits at whitespace': withText(20, again('{% set x = ns.s.split() %}'), 'a '),
  'an indent of many lines': withText(21, '{{ ns.s | indent }}', 'a\\n'),
  'a sort of many items':
    '{% set ns = namespace(l=[1]) %}{% for i in range(21) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l | sort | length }}',
  'a list of a text of line ends, written': withText(21, '{{ [ns.s] }}', '\\n'),
  'slices of a long text': withText(20, again('{% set x = ns.s[1:2] %}')),
  titles: withText(20, again('{% set x = ns.s.title() %}')),
  'upper case': withText(20, again('{% set x = ns.s | upper %}')),
  'prefixes in a long list': withText(
    20,
    '{% set ns.l = (ns.s ~ "b",) %}{% for i in range(17) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ (ns.s ~ "c").startswith(ns.l) }}',
  ),
  'a sort of long texts': withText(
    18,
    '{% set ns.l = [ns.s] %}{% for i in range(12) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l | sort }}',
  ),
  'a sort by many attributes': withText(
    12,
    "{% set ns.l = [{'a': 1}] %}{% for i in range(12) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l | sort(attribute=ns.s ~ 'a') }}",
    'a,',
  ),
  'a namespace made of a long text': withText(23, '{{ namespace([ns.s]) }}'),
  'much output': again('x'.repeat(10_000)),
};

describe('a template ends with ERR_CHAT_TEMPLATE that names the limit, for', () => {
  for (const [name, source] of Object.entries(BEYOND_LIMITS)) {
    test(name, () => {
      assert.throws(
        () => new ChatTemplate(source, {}, { timeMs: 60_000 }).render([USER]),
        (error) =>
          LLMError.is(error) &&
          error.code === 'ERR_CHAT_TEMPLATE' &&
          /^chatTemplateLimits\.(steps|outputLength)$/.test(`${error.option}`),
      );
    });
  }
});

const BROKEN: Readonly<Record<string, [source: string, message: RegExp]>> = {
  'a range of a thousand million': ['{% for i in range(1000000000) %}{% endfor %}', /more than 100000 numbers/],
  'a range of fractions': ['{{ range(1, 2, 0.1) }}', /'float' object cannot be interpreted as an integer/],
  'a whole number that is too large': ['{{ 2 ** 6000 }}', /expected one within 2\^53/],
  'a macro that calls itself': ['{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', /nested too deeply/],
  'an object that holds itself': ['{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}', /nested too deeply/],
  parentheses: [`{{ ${'('.repeat(50_000)}1${')'.repeat(50_000)} }}`, /nested too deeply/],
  'a long sum': [`{{ ${'1+'.repeat(60_000)}1 }}`, /nested too deeply/],
  'loops in loops': ['{% for i in [1] %}'.repeat(3000) + '{% endfor %}'.repeat(3000), /nested too deeply/],
  'a long template': ['x'.repeat(300_000), /300000 characters; expected at most 262144/],
};

describe('a template is refused for', () => {
  for (const [name, [source, message]] of Object.entries(BROKEN)) {
    test(name, () => assert.throws(() => render(source), { code: 'ERR_CHAT_TEMPLATE', message }));
  }
});

test('each limit is the one that is given, and its error names it', () => {
  const exceeds = (source: string, limits: ChatTemplateLimits): void => {
    const option = `chatTemplateLimits.${Object.keys(limits)[0]}`;
    assert.throws(
      () => new ChatTemplate(source, {}, limits).render([USER]),
      (error) => LLMError.is(error) && error.option === option && error.message.includes(option),
    );
    assert.ok(new ChatTemplate(source, {}).render([USER]));
  };
  exceeds('{% for i in range(100) %}x{% endfor %}', { steps: 100 });
  exceeds('{% for i in range(100) %}x{% endfor %}', { outputLength: 99 });
  const { now } = performance;
  const { cpuUsage } = process;
  let ms = 0;
  let ranMs = 0;
  performance.now = () => ms++;
  process.cpuUsage = () => ({ user: ranMs * 1000, system: 0 });
  try {
    const source = '{% for i in range(1000) %}x{% endfor %}';
    assert.ok(new ChatTemplate(source, {}, { timeMs: 3 }).render([USER]), 'the process did not run meanwhile');
    ranMs = 4;
    exceeds(source, { timeMs: 3 });
  } finally {
    performance.now = now;
    process.cpuUsage = cpuUsage;
  }
});

test('a long conversation with many tools is within the limits', () => {
  const source =
    "{% for tool in tools %}{{ tool | tojson(indent=4) }}{% endfor %}{% for m in messages %}<{{ m.role }}>{% if '</think>' in m.content %}{{ m.content.split('</think>')[-1].lstrip('\\n') }}{% else %}{{ m.content | trim }}{% endif %}{% endfor %}";
  const messages = Array.from({ length: 1500 }, () => ({ role: 'user', content: 'word '.repeat(2000) }));
  const properties = Object.fromEntries(
    Array.from({ length: 8 }, (_, i) => [`p${i}`, { type: 'string', enum: ['a', 'b'] }]),
  );
  const tools = Array.from({ length: 60 }, () => ({
    type: 'function',
    function: { name: 'f', parameters: { properties } },
  }));
  assert.ok(new ChatTemplate(source, {}, { timeMs: 60_000 }).render(messages, { tools }).length > 14_000_000);
});

test('a template reaches no JavaScript object, and not the source of a function', () => {
  for (const name of [
    'constructor',
    '__proto__',
    'prototype',
    'toString',
    'hasOwnProperty',
    'valueOf',
    '__defineGetter__',
  ]) {
    for (const value of [
      "''",
      '1',
      '[]',
      '{}',
      'none',
      'range',
      'namespace()',
      'messages',
      'messages[0]',
      "''.upper",
    ]) {
      assert.equal(
        render(`{{ (${value}).${name} is defined }}{{ (${value})['${name}'] is defined }}`),
        'FalseFalse',
        `${value}.${name}`,
      );
    }
    assert.equal(render(`{{ ${name} is defined }}`), 'False', name);
  }
  const polluted = JSON.parse('{"role":"user","content":"hi","__proto__":{"polluted":1}}');
  assert.equal(
    render('{{ messages[0].polluted is defined }}{{ x.polluted is defined }}', [polluted], {
      templateVars: JSON.parse('{"__proto__":{"x":1},"x":{}}'),
    }),
    'FalseFalse',
  );
  for (const text of ['{{ range }}', "{{ range ~ '' }}", "{{ 'a'.upper }}", "{{ '' + secret }}"]) {
    assert.throws(
      () => render(text, [USER], { templateVars: { secret: () => 'a secret' } }),
      /a function cannot be written as text|can only concatenate str \(not "function"\)/,
    );
  }
});

describe('messages', () => {
  const nested = (levels: number): unknown => (levels === 0 ? 1 : { a: nested(levels - 1) });
  const cyclic: Record<string, unknown> = { role: 'user', content: 'hi' };
  cyclic.self = cyclic;
  const revoked = Proxy.revocable([], {});
  revoked.revoke();
  const lying = new Proxy([USER], {
    get: (target, name) => (name === 'length' ? 2 ** 53 - 1 : Reflect.get(target, name)),
  });
  const throwing = {
    role: 'user',
    get content(): string {
      throw Object.create(null);
    },
  }; // not even text can be made of it

  const refused: Readonly<Record<string, unknown>> = {
    'nested deeper than 500 levels': [{ ...USER, deep: nested(600) }],
    'that hold themselves': [cyclic],
    'with a BigInt': [{ ...USER, big: 1n }],
    'with a symbol': [{ ...USER, symbol: Symbol('s') }],
    'with a getter that throws what is no error': [throwing],
    'that were revoked': revoked.proxy,
    'with holes': new Array(3),
    'whose fields are inherited': [Object.create(USER)],
  };
  for (const [name, messages] of Object.entries(refused)) {
    test(`${name} are ERR_INVALID_INPUT`, () => {
      assert.throws(() => render('{{ messages }}', messages), { code: 'ERR_INVALID_INPUT' });
    });
  }

  const beyond: Readonly<Record<string, unknown>> = {
    'a million of them': new Array(1_000_000).fill(USER),
    'more than an array can hold': lying,
    'with a list of 4294967295 parts that are not there': [{ role: 'user', content: new Array(4_294_967_295) }],
    'with an object of 300,000 fields': [
      { ...USER, x: Object.fromEntries(Array.from({ length: 300_000 }, (_, i) => [i, i])) },
    ],
  };
  for (const [name, messages] of Object.entries(beyond)) {
    test(`${name} are beyond the limits`, () => {
      assert.throws(() => render('', messages), { code: 'ERR_CHAT_TEMPLATE', option: 'chatTemplateLimits.steps' });
    });
  }

  test('are read once, so that a getter cannot change what was checked', () => {
    let reads = 0;
    const changing = {
      role: 'user',
      get content() {
        return reads++ === 0 ? 'first' : 5;
      },
    };
    assert.equal(render('{{ messages[0].content }}{{ messages[0].content }}', [changing]), 'firstfirst');
  });

  test('of 20 MB are passed on where the template does not work on their text', () => {
    const image = { type: 'image', data: 'A'.repeat(20_000_000) };
    const source = '{% for p in messages[0].content %}{{ p.type }}{{ p.data is string }}{% endfor %}';
    assert.equal(render(source, [{ role: 'user', content: [image] }]), 'imageTrue');
  });
});

test('the limits of a load hold for its requests and tokenizer, and for those that attach to it', async () => {
  const llm = await LLM.load(await tinyEngine(), { executor: 'cpu', chatTemplateLimits: { steps: 5 } });
  const attached = LLM.attach(structuredClone(llm.handle));
  try {
    const refused = { code: 'ERR_CHAT_TEMPLATE', option: 'chatTemplateLimits.steps', message: /more than 5 steps/ };
    for (const each of [llm, attached]) {
      await assert.rejects(each.generate({ messages: [USER] }), refused);
      assert.throws(() => each.tokenizer.applyChatTemplate([USER]), refused);
      assert.equal((await each.generate('hi', { maxTokens: 1, ignoreEos: true })).usage.completionTokens, 1);
    }
  } finally {
    await Promise.all([attached.close(), llm.close()]);
  }
  for (const [limits, option] of [
    [{ steps: 0 }, 'chatTemplateLimits.steps'],
    [{ timeMs: 0.5 }, 'chatTemplateLimits.timeMs'],
  ] as const) {
    await assert.rejects(LLM.load('engine', { chatTemplateLimits: limits }), { code: 'ERR_INVALID_OPTION', option });
  }
});
