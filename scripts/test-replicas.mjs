// Runs examples/replicas with the tiny model, kills one of the three replicas under load and checks what becomes of each request:
// `npm run test:replicas`. Those on the killed replica fail with an error of OpenAI's client; all others, and all later ones, get the
// text that generate() gives.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { LLM } from 'node-tensorrt-llm';
import OpenAI from 'openai';
import { tinyEngine } from '../dist-test/tools/engines.js';
import { pythonEnvironment } from './python-environment.mjs';

const root = path.join(import.meta.dirname, '..');
const bin = pythonEnvironment('replicas', 'examples/replicas/requirements.txt');
const CLIENTS = 12;
const MAX_TOKENS = 1500;
const CASES = 12;

const engine = await tinyEngine();
const llm = await LLM.load(engine);
const messagesOf = (i) => [{ role: 'user', content: `Request ${i % CASES}` }];
const texts = [];
for (let i = 0; i < CASES; i++) {
  texts.push(
    (await llm.generate({ messages: messagesOf(i) }, { maxTokens: MAX_TOKENS, temperature: 0, ignoreEos: true })).text,
  );
}
await llm.close();

const example = spawn(process.execPath, [path.join(root, 'examples/replicas/replicas.mjs'), engine], {
  env: { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const [line] = await once(createInterface({ input: example.stdout }), 'line');
const { url, replicas } = JSON.parse(line);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });

// Of a stream that breaks off OpenAI's client hands on what fetch throws.
const BROKEN_OFF = 'TypeError: terminated';

/** What becomes of a request: 'whole', or its error. */
async function ask(i, { stream, onToken }) {
  const fields = { model: 'model', messages: messagesOf(i), max_tokens: MAX_TOKENS, temperature: 0, ignore_eos: true };
  let text = '';
  let finish = null;
  try {
    if (!stream) {
      text = (await client.chat.completions.create(fields)).choices[0].message.content;
    } else {
      for await (const { choices } of await client.chat.completions.create({ ...fields, stream: true })) {
        text += choices[0].delta.content ?? '';
        finish = choices[0].finish_reason ?? finish;
        onToken();
      }
      assert.notEqual(finish, null, `request ${i} has lost its end`);
    }
  } catch (error) {
    const failure = `${error.name}: ${error.message}`;
    if (error instanceof OpenAI.APIError || failure === BROKEN_OFF) return failure;
    throw error;
  }
  assert.equal(text, texts[i % CASES], `request ${i}`);
  return 'whole';
}

const before = [];
const after = [];
let next = 0;
let isKilled = false;

/** While streams run on all replicas. */
function kill() {
  if (!isKilled) process.kill(replicas[0].pid, 'SIGKILL');
  isKilled = true;
}

async function work() {
  while (after.length < 10 * CLIENTS) {
    const i = next++;
    const outcomes = isKilled ? after : before;
    const stream = !isKilled || i % 2 === 0;
    outcomes.push(await ask(i, { stream, onToken: () => i > 2 * CLIENTS && kill() }));
  }
}

try {
  await Promise.all(Array.from({ length: CLIENTS }, work));
} finally {
  example.kill();
}
const failed = before.filter((outcome) => outcome !== 'whole');
assert.ok(failed.length > 0 && failed.length < CLIENTS, `${failed.length} requests failed`);
assert.deepEqual(
  after.filter((outcome) => outcome !== 'whole'),
  [],
);
console.log(`replica killed: ${failed.length} of its streams failed (${[...new Set(failed)].join(', ')}),`);
console.log(
  `${before.length - failed.length} others of before and all ${after.length} of after got generate()'s texts`,
);
