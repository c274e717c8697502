import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forceToolCall } from 'node-tensorrt-llm';
import { loadSaying, saying } from '../../tools/saying.js';

const city = { $ref: '#/$defs/city' };
const tools = [
  {
    type: 'function',
    function: {
      name: 'weather',
      parameters: { type: 'object', properties: { city }, $defs: { city: { type: 'string' } } },
    },
  },
  { type: 'function', function: { name: 'clock' } },
];

test('the schema is that of a call of any of the tools, with their definitions at its root', () => {
  const { anyOf, $defs } = forceToolCall(tools).guided.jsonSchema as {
    anyOf: { properties: { name: object; arguments: object } }[];
    $defs: object;
  };
  const [weather, clock] = anyOf.map(({ properties }) => properties);
  assert.deepEqual(weather, { name: { const: 'weather' }, arguments: tools[0]?.function.parameters });
  assert.deepEqual(clock, { name: { const: 'clock' }, arguments: { type: 'object' } });
  assert.deepEqual($defs, { city: { type: 'string' } });
});

test('what matches the schema is read as a call, whatever the form of the model', async () => {
  const llm = await loadSaying();
  const messages = [{ role: 'user', content: saying('{"name": "clock", "arguments": {"zone": 1}}') }];
  const { responseTemplate } = forceToolCall(tools);
  const { text, toolCalls } = await llm.generate({ messages, tools }, { responseTemplate });
  const [call] = toolCalls ?? [];
  assert.deepEqual([text, call?.name, call?.arguments], ['', 'clock', '{"zone": 1}']);
  await llm.close();
});
