// Runs the clients that people already use against `serve`: OpenAI's packages for JavaScript and Python, whose answers must be the same
// and those of generate(), and lm-eval, whose numbers must be those of generate() to the last bit: `npm run test:clients`.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { LLM } from 'node-tensorrt-llm';
import { tinyEngine } from '../dist-test/tools/engines.js';
import { pythonEnvironment } from './python-environment.mjs';

const root = path.join(import.meta.dirname, '..');
const clients = path.join(root, 'test', 'clients');
const KEY = 'secret';
const MESSAGES = [{ role: 'user', content: 'hi' }];
const SAMPLED = { maxTokens: 24, temperature: 1, seed: 7 };

/** What a program prints on standard output. */
async function output(command, args, env = {}) {
  const options = { cwd: clients, env: { ...process.env, ...env }, maxBuffer: 2 ** 26 };
  return (await promisify(execFile)(command, args, options)).stdout;
}

/** `serve` with the tiny model, and what its log tells. */
async function startServer(engine) {
  const args = [path.join(root, 'dist/cli/main.js'), 'serve', engine, '--name', 'tiny', '--port', '0', '--json'];
  const child = spawn(process.execPath, [...args, '--api-key-env', 'SERVE_KEY'], {
    env: { ...process.env, SERVE_KEY: KEY },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const [ready] = await once(lines, 'line');
  const requests = [];
  lines.on('line', (line) => requests.push(JSON.parse(line)));
  return { url: JSON.parse(ready).url, child, requests, lines };
}

async function checkOpenAI({ url, requests, lines }, bin, llm) {
  const javascript = JSON.parse(await output(process.execPath, ['openai-client.mjs', url, KEY]));
  const python = JSON.parse(await output(path.join(bin, 'python'), ['openai_client.py', url, KEY]));
  assert.deepEqual(python, javascript);

  const { chat, stream, logprobs, tools, ...rest } = javascript;
  const { text, usage, outputs } = await llm.generate(
    { messages: MESSAGES },
    { ...SAMPLED, logprobs: true, topLogprobs: 2 },
  );
  assert.deepEqual(chat, {
    text,
    finish: outputs[0].finishReason,
    usage: [usage.promptTokens, usage.completionTokens, usage.totalTokens],
  });
  assert.deepEqual(stream, chat);
  assert.deepEqual(
    logprobs,
    outputs[0].logprobs.map((each) => [each.text, each.logprob, each.top.map((top) => [top.text, top.logprob])]),
  );
  assert.ok(tools.usage[0] > chat.usage[0], 'the prompt holds the tools');
  assert.deepEqual(rest, {
    models: ['tiny'],
    completion: (await llm.generate('Once', { maxTokens: 8, temperature: 0 })).text,
    embedding: [...(await llm.embed('hi')).embeddings[0]],
    leave: 'assistant',
    errors: [
      ['BadRequestError', 400, 'ERR_INVALID_OPTION', 'temperature'],
      ['NotFoundError', 404, 'model_not_found', 'model'],
      ['BadRequestError', 400, 'context_length_exceeded', 'messages'],
      ['AuthenticationError', 401, 'invalid_api_key', null],
    ],
  });
  while (requests.filter(({ aborted }) => aborted).length < 2) await once(lines, 'line');
  console.log(
    "openai: both clients give generate()'s texts, log-probabilities and errors, and leaving ends their requests",
  );
}

/** What lm-eval noted of each item of a task: its requests, what it read in the answers, and its metrics. */
async function evaluate(bin, { model, url, task, more = [] }, results) {
  const modelArgs = `model=tiny,base_url=${url},tokenizer_backend=remote,auth_token=${KEY},num_concurrent=2`;
  const args = [
    '--model',
    model,
    '--model_args',
    modelArgs,
    '--tasks',
    task,
    '--include_path',
    'tasks',
    '--output_path',
    results,
  ];
  const env = { OPENAI_API_KEY: KEY, HF_HUB_OFFLINE: '1', HF_HOME: path.join(results, 'cache') };
  await output(path.join(bin, 'lm_eval'), [...args, '--log_samples', ...more], env);
  const samples = [];
  for (const name of await readdir(results, { recursive: true })) {
    if (!path.basename(name).startsWith(`samples_${task}_`)) continue;
    for (const line of (await readFile(path.join(results, name), 'utf8')).trim().split('\n'))
      samples.push(JSON.parse(line));
  }
  return samples;
}

async function checkLoglikelihoods({ url }, bin, { llm, results }) {
  const asked = { model: 'local-completions', url: `${url}/v1/completions`, task: 'local_choice' };
  const samples = await evaluate(bin, asked, results);
  assert.equal(samples.length, 4);
  for (const { doc, resps, arguments: requests, acc } of samples) {
    const sums = [];
    for (const [i, { arg_0: context, arg_1: continuation }] of Object.values(requests).entries()) {
      const tokens = await llm.tokenizer.encode(context + continuation);
      const { length } = await llm.tokenizer.encode(context);
      const { promptLogprobs } = await llm.generate(
        { tokens },
        { promptLogprobs: true, topPromptLogprobs: 1, maxTokens: 1 },
      );
      const own = promptLogprobs.slice(length);
      sums.push(own.reduce((sum, { logprob }) => sum + logprob, 0));
      const isGreedy = own.every(({ logprob, top }) => top[0].logprob === logprob);
      const [[sum, greedy]] = resps[i];
      assert.deepEqual([Number(sum), String(greedy).toLowerCase()], [sums[i], String(isGreedy)]);
    }
    assert.equal(acc, sums.indexOf(Math.max(...sums)) === doc.answer ? 1 : 0);
  }
  console.log("lm-eval local-completions: every log-likelihood is generate()'s, to the last bit");
}

async function checkAnswers({ url }, bin, { llm, results }) {
  const asked = {
    model: 'local-chat-completions',
    url: `${url}/v1/chat/completions`,
    task: 'local_answer',
    more: ['--apply_chat_template'],
  };
  const samples = await evaluate(bin, asked, results);
  assert.equal(samples.length, 4);
  for (const { doc, resps } of samples) {
    const messages = [{ role: 'user', content: doc.question }];
    const { text } = await llm.generate({ messages }, { maxTokens: 16, temperature: 0, stop: ['\n'] });
    assert.equal(resps[0][0], text);
  }
  console.log("lm-eval local-chat-completions: every answer is generate()'s");
}

const bin = pythonEnvironment('clients', 'test/clients/requirements.txt');
const scratch = await mkdtemp(path.join(tmpdir(), 'test-clients-'));
const engine = path.join(scratch, 'engine');
await cp(await tinyEngine(), engine, { recursive: true });
const { chat_template: template } = JSON.parse(await readFile(path.join(engine, 'tokenizer_config.json'), 'utf8'));
await writeFile(path.join(engine, 'chat_template.jinja'), `{{ tools | tojson if tools }}${template}`);
const llm = await LLM.load(engine);
const server = await startServer(engine);
try {
  await checkOpenAI(server, bin, llm);
  await checkLoglikelihoods(server, bin, { llm, results: path.join(scratch, 'choice') });
  await checkAnswers(server, bin, { llm, results: path.join(scratch, 'answer') });
} finally {
  server.child.kill();
  await llm.close();
  await rm(scratch, { recursive: true });
}
