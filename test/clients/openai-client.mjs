// What openai_client.py does, with OpenAI's package for JavaScript: the two print the same JSON.
import OpenAI from 'openai';

const [url, key] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const chat = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], max_tokens: 24, temperature: 1, seed: 7 };
const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];

const usageOf = (usage) => [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens];

const answer = ({ choices: [choice], usage }) => ({
  text: choice.message.content,
  finish: choice.finish_reason,
  usage: usageOf(usage),
});

async function stream() {
  let text = '';
  let finish = null;
  let total;
  const asked = { ...chat, stream: true, stream_options: { include_usage: true } };
  for await (const { choices, usage } of await client.chat.completions.create(asked)) {
    for (const { delta, finish_reason: reason } of choices) {
      text += delta.content ?? '';
      finish = reason ?? finish;
    }
    total = usage ?? total;
  }
  return { text, finish, usage: usageOf(total) };
}

async function logprobs() {
  const { choices } = await client.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 2 });
  return choices[0].logprobs.content.map(({ token, logprob, top_logprobs: top }) => [
    token,
    logprob,
    top.map((each) => [each.token, each.logprob]),
  ]);
}

async function leave() {
  const endless = { ...chat, max_tokens: 8000, ignore_eos: true, stream: true };
  for await (const { choices } of await client.chat.completions.create(endless)) {
    return choices[0].delta.role;
  }
}

async function failure(fields, by = client) {
  try {
    await by.chat.completions.create({ ...chat, ...fields });
  } catch (error) {
    return [error.constructor.name, error.status, error.code, error.param];
  }
}

console.log(
  JSON.stringify({
    models: (await client.models.list()).data.map(({ id }) => id),
    chat: answer(await client.chat.completions.create(chat)),
    stream: await stream(),
    completion: (await client.completions.create({ model: 'tiny', prompt: 'Once', max_tokens: 8, temperature: 0 }))
      .choices[0].text,
    logprobs: await logprobs(),
    embedding: (await client.embeddings.create({ model: 'tiny', input: ['Once', 'hi'] })).data[1].embedding,
    tools: answer(await client.chat.completions.create({ ...chat, tools })),
    leave: await leave(),
    errors: [
      await failure({ temperature: -1 }),
      await failure({ model: 'gpt-4' }),
      await failure({ messages: [{ role: 'user', content: 'hi'.repeat(9000) }] }),
      await failure({}, client.withOptions({ apiKey: 'wrong' })),
    ],
  }),
);
