import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { knownTemplate } from '#lib/text/response/known-templates.js';
import { type Answer, everywhere, known, LLAMA_MARK, readAnswer, WEATHER } from './read-answer.js';

const HERMES = known('<tool_call>', '<think>');
const CODER = known('<tool_call>', '<function=');
const NEMO = known('[TOOL_CALLS]');
const SMALL = known('[TOOL_CALLS]', '[ARGS]', '[THINK]');
const LLAMA = known(LLAMA_MARK);

const ROME = '{"city": "Rome"}';
const OSLO = '{"city":"Oslo"}';

/** Text, reasoning, and name and arguments of the calls. */
const partsOf = ({ text, reasoning, calls }: Answer): unknown[] => [
  text,
  reasoning,
  ...calls.map((call) => `${call.name} ${call.arguments}`),
];

const FORMATS: readonly [name: string, template: unknown, answer: string, parts: readonly string[]][] = [
  [
    'Hermes and Qwen',
    HERMES,
    `<think>\nhm\n</think>\n\nLet me see.\n<tool_call>\n{"name": "weather", "arguments": ${ROME}}\n</tool_call>\n<tool_call>\n{"name": "weather", "arguments": ${OSLO}}\n</tool_call>`,
    ['Let me see.', 'hm', `weather ${ROME}`, `weather ${OSLO}`],
  ],
  ['no arguments', HERMES, '<tool_call>{"name": "f"}</tool_call>', ['', '', 'f {}']],
  ['arguments that are null', HERMES, '<tool_call>{"name": "f", "arguments": null}</tool_call>', ['', '', 'f {}']],
  [
    'arguments that are a text',
    HERMES,
    '<tool_call>{"arguments": "{\\"city\\": \\"Rome\\"}", "name": "f"}</tool_call>',
    ['', '', `f ${ROME}`],
  ],
  [
    'Qwen3-Coder and Nemotron 3',
    CODER,
    'Ok.\n\n<tool_call>\n<function=weather>\n<parameter=city>\nRome\n</parameter>\n</function>\n</tool_call>',
    ['Ok.', '', `weather ${ROME}`],
  ],
  [
    'Mistral Nemo',
    NEMO,
    `[TOOL_CALLS] [{"name": "weather", "arguments": ${ROME}, "id": "abcdefghi"}, {"name": "weather", "arguments": ${OSLO}}]`,
    ['', '', `weather ${ROME}`, `weather ${OSLO}`],
  ],
  [
    'Mistral Small 3.2 and Ministral 3',
    SMALL,
    `[THINK]hm[/THINK]Ok.[TOOL_CALLS]weather[CALL_ID]abcdefghi[ARGS]${ROME}[TOOL_CALLS]weather[ARGS]${OSLO}`,
    ['Ok.', 'hm', `weather ${ROME}`, `weather ${OSLO}`],
  ],
  ['Llama', LLAMA, `{"name": "weather", "parameters": ${ROME}}`, ['', '', `weather ${ROME}`]],
  [
    'Llama with a type, a python tag and another name of the arguments',
    LLAMA,
    `<|python_tag|>{"type": "function", "name": "weather", "arguments": ${ROME}}`,
    ['', '', `weather ${ROME}`],
  ],
  [
    'Llama with several calls',
    LLAMA,
    `{"name": "weather", "parameters": ${ROME}}; {"name": "weather", "parameters": ${OSLO}}`,
    ['', '', `weather ${ROME}`, `weather ${OSLO}`],
  ],
];

describe('calls and reasoning are read in the format of', () => {
  for (const [name, template, answer, parts] of FORMATS) {
    test(name, () => {
      assert.deepEqual(partsOf(readAnswer(template, answer)), parts);
      assert.deepEqual(partsOf(readAnswer(template, answer, { cuts: everywhere(answer) })), parts);
    });
  }
});

describe('what is no call is text, mark and all:', () => {
  for (const [name, template, answer] of [
    ['a call without its name', HERMES, `<tool_call>\n{"arguments": ${ROME}}\n</tool_call> Hm.`],
    ['a call that is not JSON', HERMES, "<tool_call>{'name': 'weather'}</tool_call>"],
    ['an empty call', HERMES, '<tool_call>\n</tool_call>'],
    ['an empty list', NEMO, '[TOOL_CALLS][]'],
    ['a call that is cut before its arguments', HERMES, '<tool_call>\n{"name": "weather", "argu'],
    ['a mark that is cut', HERMES, 'Hm <tool_ca'],
    [
      'something between parameters',
      CODER,
      '<tool_call><function=f>x<parameter=a>1</parameter></function></tool_call>',
    ],
    ['a parameter that is cut', CODER, '<tool_call>\n<function=weather>\n<parameter=city>\nRo'],
    ['JSON that names no tool', LLAMA, '{"name": "Ada", "parameters": {}}'],
    ['JSON with another key', LLAMA, '{"city": "Rome", "name": "weather"}'],
    ['a call behind text', LLAMA, `Hm. {"name": "weather", "parameters": ${ROME}}`],
    ["Llama's calls of built-in tools", LLAMA, '<|python_tag|>brave_search.call(query="Rome")'],
  ] as const) {
    test(name, () => {
      for (const cuts of [[], everywhere(answer)]) {
        assert.deepEqual(partsOf(readAnswer(template, answer, { cuts })), [answer, '']);
      }
    });
  }

  test('what follows a call in its region', () => {
    const answer = `<tool_call>{"name": "weather", "arguments": ${ROME}}} </tool_call>`;
    assert.deepEqual(partsOf(readAnswer(HERMES, answer)), ['} </tool_call>', '', `weather ${ROME}`]);
  });

  test('a call in a call that never ends, but not the inner one', () => {
    const answer = `<tool_call>Hm <tool_call>{"name": "weather", "arguments": ${ROME}}</tool_call>`;
    assert.deepEqual(partsOf(readAnswer(HERMES, answer)), ['<tool_call>Hm', '', `weather ${ROME}`]);
  });

  test('calls where there are no tools, while reasoning is still read', () => {
    const call = '<tool_call>{"name": "weather", "arguments": {}}</tool_call>';
    assert.deepEqual(partsOf(readAnswer(HERMES, `<think>hm</think>${call}`, { tools: [] })), [call, 'hm']);
  });
});

test('a call that is cut in its arguments keeps those that came', () => {
  const answer = '<tool_call>\n{"name": "weather", "arguments": {"city": "Ro';
  assert.deepEqual(partsOf(readAnswer(HERMES, answer)), ['', '', 'weather {"city": "Ro']);
});

test('arguments go out as they come, as the model wrote them', () => {
  const answer = '<tool_call>{"name": "weather", "arguments": {"city" :"R\\u006f" }}</tool_call>';
  const { pieces } = readAnswer(HERMES, answer, { cuts: [45, 50] });
  assert.equal(pieces.join(''), '{"city" :"R\\u006f" }');
  assert.equal(pieces.slice(0, 3).join(''), '{"c');
});

test('text goes out at once unless it can be part of a mark', () => {
  const answer = 'a < b <to x';
  const { pieces } = readAnswer(HERMES, answer, { cuts: everywhere(answer) });
  assert.deepEqual(pieces, ['a', ' <', ' b', ' <to', ' x']);
});

test('white space goes where it is beside a mark, and stays everywhere else', () => {
  const read = (answer: string): unknown[] => partsOf(readAnswer(HERMES, answer));
  assert.deepEqual(read('\n Hi  there \n'), ['\n Hi  there \n', '']);
  assert.deepEqual(read('\n<think>\n a  b \n</think>\n\n Hi \n'), ['Hi \n', 'a  b']);
  const call = '<tool_call>{"name": "f"}</tool_call>';
  assert.deepEqual(read(`One.\n${call}\n${call}\nTwo.`), ['One.\n\n\nTwo.', '', 'f {}', 'f {}']);
});

describe('of the prompt', () => {
  const turn = '<|im_start|>user\n<think>hot?<|im_end|>\n<|im_start|>assistant\n';
  const read = (prompt: string, answer: string): unknown[] => partsOf(readAnswer(HERMES, answer, { prompt }));

  test('the reasoning that it opens is gone on with', () => {
    assert.deepEqual(read(`${turn}<think>\n`, 'hm\n</think>\n\nHi'), ['Hi', 'hm']);
    assert.deepEqual(read(`${turn}<think>\nSo `, 'hm'), ['', 'hm']);
  });

  test('the reasoning that it closes is over', () => {
    assert.deepEqual(read(`${turn}<think>\n\n</think>\n\n`, 'Hi'), ['Hi', '']);
  });

  test('what others wrote does not count, with or without a turn of the assistant', () => {
    assert.deepEqual(read(turn, 'Hi'), ['Hi', '']);
    assert.deepEqual(read('<think>hot?', 'Hi'), ['Hi', '']);
  });

  test('a call that it opens is one of the answer, and one that it closes is not', () => {
    const call = `<tool_call>{"name": "weather", "arguments": ${ROME}}</tool_call>`;
    assert.deepEqual(read(`${turn}<tool_call>{"name": "weather", `, `"arguments": ${ROME}}</tool_call>`), [
      '',
      '',
      `weather ${ROME}`,
    ]);
    assert.deepEqual(read(turn + call, 'Hi'), ['Hi', '']);
  });
});

test("ids are the model's own, else random, and of 9 letters and digits for Mistral", () => {
  const idOf = (template: unknown, answer: string): string | undefined => readAnswer(template, answer).calls[0]?.id;
  assert.match(idOf(HERMES, '<tool_call>{"name": "f"}</tool_call>') ?? '', /^call_[A-Za-z0-9]{24}$/);
  assert.equal(idOf(SMALL, '[TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{}'), 'abcdefghi');
  assert.match(idOf(SMALL, '[TOOL_CALLS]f[ARGS]{}') ?? '', /^[A-Za-z0-9]{9}$/);
  assert.match(idOf(NEMO, '[TOOL_CALLS][{"name": "f", "arguments": {}}]') ?? '', /^[A-Za-z0-9]{9}$/);
});

test('parameters without types are cast to those of the tool, and keep all their digits', () => {
  const properties = {
    a: { type: 'integer' },
    b: { type: ['null', 'boolean'] },
    c: { anyOf: [{ type: 'array' }] },
    d: {},
  };
  const tools = [{ ...WEATHER, function: { name: 'f', parameters: { properties } } }];
  const values = { a: '12345678901234567890', b: 'False', c: '[1]', d: '1', e: 'x "y"' };
  const tags = Object.entries(values).map(([key, value]) => `<parameter=${key}>\n${value}\n</parameter>\n`);
  const answer = `<tool_call>\n<function=f>\n${tags.join('')}</function>\n</tool_call>`;
  assert.equal(
    readAnswer(CODER, answer, { tools }).calls[0]?.arguments,
    '{"a": 12345678901234567890, "b": false, "c": [1], "d": "1", "e": "x \\"y\\""}',
  );
});

test('a chat template of another format has none', () => {
  for (const source of ['', '{{ tools }}', '<tool_call>{{ name }}<arg_key>', '<function=']) {
    assert.equal(knownTemplate(source), undefined, source);
  }
});
