import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomIntegers } from '../fixtures.js';
import { known, LLAMA_MARK, readAnswer } from './read-answer.js';

const CALL = '{"name": "weather", "arguments": {"city": "一\\"}二"}}';
const FRAGMENTS = [
  ...[
    '三',
    `<tool_call>\n${CALL}\n</tool_call>`,
    `[TOOL_CALLS][${CALL}, ${CALL}]`,
    CALL,
    '[TOOL_CALLS]weather[ARGS]{"a": "三"}',
  ],
  '<tool_call>\n<function=weather>\n<parameter=city>\n九\n</parameter>\n</function>\n</tool_call>',
  ...['一', '二', '三 ', '\n四', ' ', '\n\n', '{', '}', '[', ']', '"', '\\', ',', ';', ':', '<', '/', 'null', '1'],
  ...[
    '<think>',
    '</think>',
    '<th',
    'ink>',
    '<tool_call>',
    '</tool_call>',
    '<function=',
    '</function>',
    '\n</tool_call>',
  ],
  ...['[TOOL_CALLS]', '[ARGS]', '[CALL_ID]', '[THINK]', '[/THINK]', '<|python_tag|>', '<|im_end|>'],
  ...['"name"', '"arguments"', '"parameters": ', '"id"', '{"name": "weather", "arguments": ', '{"name": "weather", '],
  ...['{"city": "五\\"}六"}', '{"city": "七"}}', '[{"name": "weather", "arguments": {"a": ["八"]}}, ', 'weather', '}]'],
  ...['<parameter=city>', '</parameter>', '<function=weather>\n<parameter=city>\n九\n</parameter>\n'],
];

/** In no mark and no frame of a call, so each of them must come out. */
const CONTENT = /[一二三四五六七八九]/g;
const contentOf = (text: string): string => (text.match(CONTENT) ?? []).join('');

const TEMPLATES = [
  known('<tool_call>', '<think>'),
  known('<tool_call>', '<function=', '<think>'),
  known('[TOOL_CALLS]'),
  known('[TOOL_CALLS]', '[ARGS]', '[THINK]'),
  known(LLAMA_MARK),
];

test('however an answer is cut, all of it comes out, in order and the same', () => {
  const random = randomIntegers(7);
  let calls = 0;
  for (let i = 0; i < 4000; i++) {
    const template = TEMPLATES[i % TEMPLATES.length];
    const answer = Array.from({ length: 1 + random(14) }, () => FRAGMENTS[random(FRAGMENTS.length)]).join('');
    const whole = readAnswer(template, answer);
    const cuts = Array.from(answer, () => random(answer.length + 1)).sort((a, b) => a - b);
    const inPieces = readAnswer(template, answer, { cuts });
    const shown = JSON.stringify(answer);
    assert.equal(inPieces.text, whole.text, shown);
    assert.equal(inPieces.reasoning, whole.reasoning, shown);
    assert.deepEqual(inPieces.calls.map(withoutId), whole.calls.map(withoutId), shown);
    for (const { pieces } of [whole, inPieces]) assert.equal(contentOf(pieces.join('')), contentOf(answer), shown);
    if (whole.calls.length === 0) assert.equal(bare(whole.pieces.join('')), bare(answer), shown);
    calls += whole.calls.length;
  }
  assert.ok(calls > 200, `only ${calls} calls were read`);
});

const withoutId = ({ name, arguments: text }: { name: string; arguments: string }) => ({ name, text });

/** Without what may go where there is no call. */
const bare = (text: string): string => text.replaceAll(/<\/?think>|\[\/?THINK\]|\s/g, '');
