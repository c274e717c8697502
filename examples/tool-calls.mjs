// Lets a model call functions of this program: node examples/tool-calls.mjs ENGINE "What is 17 + 25?"
import { LLM } from 'node-tensorrt-llm';

const tools = [
  {
    type: 'function',
    function: {
      name: 'add',
      description: 'Adds two numbers.',
      parameters: {
        type: 'object',
        properties: { a: { type: 'number' }, b: { type: 'number' } },
        required: ['a', 'b'],
      },
    },
  },
];
const functions = { add: ({ a, b }) => a + b };

const llm = await LLM.load(process.argv[2]);
const messages = [{ role: 'user', content: process.argv[3] ?? 'What is 17 + 25?' }];
try {
  for (let turn = 0; turn < 5; turn++) {
    const { text, reasoning, toolCalls = [] } = await llm.generate({ messages, tools }, { maxTokens: 512 });
    messages.push({
      role: 'assistant',
      content: text,
      ...(reasoning && { reasoning_content: reasoning }),
      ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(asMessage) }),
    });
    if (toolCalls.length === 0) break;
    for (const { id, name, arguments: args } of toolCalls) {
      const content = run(name, args);
      console.log(`${name} ${args}: ${content}`);
      messages.push({ role: 'tool', tool_call_id: id, name, content });
    }
  }
  console.log(messages.at(-1).content);
} finally {
  await llm.close();
}

function asMessage({ id, name, arguments: args }) {
  return { id, type: 'function', function: { name, arguments: args } };
}

/** The model can write a name or arguments that are wrong; told so, it can try again. */
function run(name, args) {
  try {
    return JSON.stringify(functions[name](JSON.parse(args)));
  } catch (error) {
    return `Error: ${error.message}`;
  }
}
