import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileTemplate } from '#lib/text/response/template.js';
import { readAnswer } from './read-answer.js';

const UNITS = 50_000;

test('a mark that waits for the end of the answer again and again is looked for only so long', () => {
  const template = { start_anchor: 'A:', fields: { thinking: { open_pattern: 'a(?:.*z)?', close: 'a' }, content: {} } };
  const answer = 'ab'.repeat(UNITS / 2);
  const { text, reasoning } = readAnswer(template, answer); // a minute, if it were looked for to the end
  assert.equal(`${text}${reasoning}`.replaceAll('a', ''), answer.replaceAll('a', ''));
});

test('so is a tag of a call, and what was not looked at is text', () => {
  const template = {
    start_anchor: 'A:',
    fields: {
      tool_calls: {
        open: '<call>',
        content: 'xml-inline',
        content_args: { tag_pattern: '(?P<key>a)(?P<value>(?:.*z)?)' },
        transform: { function: { name: 'f', arguments: '{content}' } },
      },
    },
  };
  const answer = `<call>${'a'.repeat(UNITS)}`;
  const { text, calls } = readAnswer(template, answer);
  assert.deepEqual([text, calls], [answer, []]);
});

test('a template with marks that take too long for each character is refused', () => {
  const long = '.{500}x';
  const fields = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`f${i}`, { open_pattern: `${i}${long}` }]));
  assert.throws(() => compileTemplate({ start_anchor: 'A:', fields }), /fields has marks that are too long/);
});
