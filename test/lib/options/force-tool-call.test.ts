import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { forceToolCall, type LLM, type ResponseTemplate, type Result } from 'node-tensorrt-llm';
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

let llm: LLM;
before(async () => {
  llm = await loadSaying();
});
after(() => llm.close());

/** What becomes of this answer. */
const told = (answer: string, responseTemplate: ResponseTemplate): Promise<Result> =>
  llm.generate({ messages: [{ role: 'user', content: saying(answer) }], tools }, { responseTemplate });

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
  const { responseTemplate } = forceToolCall(tools);
  const { text, toolCalls } = await told('{"name": "clock", "arguments": {"zone": 1}}', responseTemplate);
  const [call] = toolCalls ?? [];
  assert.deepEqual([text, call?.name, call?.arguments], ['', 'clock', '{"zone": 1}']);
});

test('reasoning can come before the call where the format begins behind it', async () => {
  const answer = '<think>\n{"name"?\n</think>\n\n{"name": "clock", "arguments": {}}';
  const reasoner = (guidedAfterReasoning: boolean) => ({
    info: { ...llm.info, guidedAfterReasoning },
    responseTemplate: llm.responseTemplate,
  });
  const { reasoning, text, toolCalls } = await told(answer, forceToolCall(tools, reasoner(true)).responseTemplate);
  assert.deepEqual([reasoning, text, toolCalls?.[0]?.name], ['{"name"?', '', 'clock']);
  const alone = forceToolCall(tools, reasoner(false));
  assert.deepEqual(alone, forceToolCall(tools));
});
