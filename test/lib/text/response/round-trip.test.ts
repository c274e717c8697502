import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatMessage, Tool } from '#lib/base/types.js';
import { ChatTemplate } from '#lib/text/chat-template.js';
import { readFixture } from '../fixtures.js';
import { everywhere, readAnswer } from './read-answer.js';

interface Golden {
  tools: Tool[];
  chats: {
    templates: Record<string, string>;
    conversations: { name: string; prompt: string; answer: string; next: string }[];
  };
}

const { tools, chats } = readFixture<Golden>('response.golden.json');

for (const { name, prompt, answer, next } of chats.conversations) {
  test(`${name}: a call, its result and what the model gets next are as Hugging Face transformers has them`, () => {
    const template = new ChatTemplate(chats.templates[name] as string, {});
    const messages: ChatMessage[] = [{ role: 'user', content: 'hot?' }];
    assert.equal(template.render(messages, { tools }), prompt);
    const read = readAnswer(template.response?.template, answer, { cuts: everywhere(answer), prompt, tools });
    const calls = read.calls.map((call) => ({
      id: call.id,
      type: 'function',
      function: { name: call.name, arguments: call.arguments }, // the JSON text
    }));
    const id = calls[0]?.id ?? '';
    messages.push({ role: 'assistant', content: read.text, tool_calls: calls });
    messages.push({ role: 'tool', tool_call_id: id, name: 'weather', content: '35' });
    assert.equal(template.render(messages, { tools }).replaceAll(id, 'call00001'), next);
  });
}
