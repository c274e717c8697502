import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tool } from '#lib/base/types.js';
import { readFixture } from '../fixtures.js';
import { everywhere, readAnswer } from './read-answer.js';

interface Row {
  template: string;
  prefix: string;
  text: string;
  message: Partial<Record<'content' | 'reasoning_content' | 'thinking', string>> & {
    tool_calls?: { function: { name: string; arguments?: unknown } }[];
  };
}
interface Golden {
  templates: Record<string, unknown>;
  tools: Tool[];
  rows: Row[];
}

const { templates, tools, rows } = readFixture<Golden>('response.golden.json');

for (const [name, template] of Object.entries(templates)) {
  test(`${name}: answers are read as Hugging Face transformers reads them, however they are cut`, () => {
    for (const { prefix, text, message } of rows.filter((row) => row.template === name)) {
      for (const cuts of [[], everywhere(text)]) {
        const answer = readAnswer(template, text, { cuts, prompt: prefix, tools });
        assert.equal(answer.text, message.content ?? '', text);
        assert.equal(answer.reasoning, message.reasoning_content ?? message.thinking ?? '', text);
        assert.deepEqual(
          answer.calls.map((call) => ({ name: call.name, arguments: JSON.parse(call.arguments) as unknown })),
          (message.tool_calls ?? []).map(({ function: { name, arguments: args = {} } }) => ({ name, arguments: args })),
        );
      }
    }
  });
}
