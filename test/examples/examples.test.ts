import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { LLM, type Stats } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';

let engine: string;
let llm: LLM;
before(async () => {
  engine = await tinyEngine();
  llm = await LLM.load(engine);
});
after(() => llm.close());

const example = (name: string): string => join(PROJECT_ROOT, 'examples', name);

/** The lines that an example prints. */
async function run(name: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [example(name), engine]);
  return stdout.trimEnd().split('\n');
}

test('worker-threads.mjs prints what each prompt gives alone', async () => {
  const answers = (await run('worker-threads.mjs')).map((line) => JSON.parse(line) as { prompt: string; text: string });
  assert.equal(answers.length, 3);
  for (const { prompt, text } of answers) {
    assert.equal(text, (await llm.generate(prompt, { maxTokens: 32 })).text, prompt);
  }
});

test('ranked-outputs.mjs prints three different outputs, the likeliest first', async () => {
  const outputs = (await run('ranked-outputs.mjs')).map(
    (line) => JSON.parse(line) as { index: number; cumulativeLogprob: number; text: string },
  );
  assert.deepEqual(
    outputs.map(({ index }) => index),
    [0, 1, 2],
  );
  const likelihoods = outputs.map(({ cumulativeLogprob }) => cumulativeLogprob);
  assert.deepEqual(
    likelihoods,
    likelihoods.toSorted((a, b) => b - a),
  );
  assert.equal(new Set(outputs.map(({ text }) => text)).size, 3);
});

test('tool-calls.mjs prints the answer of a model that calls nothing', async () => {
  const messages = [{ role: 'user', content: 'What is 17 + 25?' }];
  const { text } = await llm.generate({ messages }, { maxTokens: 512 });
  assert.equal((await run('tool-calls.mjs')).join('\n'), text.trimEnd());
});

test('end-early.mjs ends a request by a time limit, by leaving the loop and by a signal', async () => {
  assert.deepEqual(await run('end-early.mjs'), [
    'timeoutMs: finishReason timeout',
    'break: finishReason cancelled',
    'signal: the user pressed stop',
  ]);
});

test('request-log.mjs logs what was loaded, and the events of a request that ends and of one that fails', async () => {
  const lines = (await run('request-log.mjs')).map((line) => JSON.parse(line) as Record<string, unknown>);
  const [choice, loaded, ...events] = lines;
  assert.match(String(choice?.message), /^executor: 'auto' takes/);
  assert.equal(loaded?.event, 'info');
  assert.match(String(loaded?.message), /weights/);
  assert.deepEqual(
    events.map(({ event, finishReason, completionTokens, code }) => ({ event, finishReason, completionTokens, code })),
    [
      { event: 'start', finishReason: undefined, completionTokens: undefined, code: undefined },
      { event: 'first-token', finishReason: undefined, completionTokens: undefined, code: undefined },
      { event: 'end', finishReason: 'length', completionTokens: 16, code: undefined },
      { event: 'start', finishReason: undefined, completionTokens: undefined, code: undefined },
      { event: 'end', finishReason: undefined, completionTokens: 0, code: 'ERR_EMPTY_PROMPT' },
    ],
  );
});

describe('http-server.mjs', () => {
  const ENDLESS = 'In the beginning'; // greedily the tiny model goes on after it up to the end of its context window
  let stop: () => Promise<unknown>;
  let address: string;
  before(async () => {
    const server = spawn(process.execPath, [example('http-server.mjs'), engine, '0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(server, 'exit');
    stop = () => {
      server.kill();
      return exit;
    };
    const [line] = (await once(server.stdout.setEncoding('utf8'), 'data')) as [string];
    address = line.trim();
  });
  after(() => stop());

  // Without keep-alive: a connection that fetch() holds in reserve would keep the server from its end for seconds.
  const headers = { connection: 'close' };
  const post = (body: string, signal: AbortSignal | null = null) =>
    fetch(address, { method: 'POST', body, headers, signal });
  const stats = async (): Promise<Stats> => (await (await fetch(address, { headers })).json()) as Stats;

  test('streams the text that generate() gives', async () => {
    const prompt = 'Dear Sir or Madam';
    const response = await post(prompt);
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    const events = (await response.text()).trimEnd().split('\n\n');
    const chunks = events.map(
      (event) => JSON.parse(event.replace('data: ', '')) as { text: string; finishReason?: string },
    );
    const { text, finishReason } = await llm.generate(prompt);
    assert.equal(chunks.map((chunk) => chunk.text).join(''), text);
    assert.equal(chunks.at(-1)?.finishReason, finishReason);
    assert.ok(chunks.length > 1);
  });

  test('ends a request whose client leaves', async () => {
    const before = await stats();
    const client = new AbortController();
    const response = await post(ENDLESS, client.signal);
    await response.body?.getReader().read();
    client.abort();
    let now = await stats();
    while (now.completedRequests === before.completedRequests) now = await stats();
    assert.equal(now.activeRequests, 0);
    assert.ok(now.steps - before.steps < llm.info.maxSeqLen - ENDLESS.length, 'it ran to its end');
  });

  test('answers a prompt without tokens with status 400 and the code', async () => {
    const response = await post('');
    assert.equal(response.status, 400);
    assert.match(await response.text(), /^ERR_EMPTY_PROMPT: /);
  });

  test('exits with status 0 when it is told to end', async () => {
    assert.deepEqual(await stop(), [0, null]);
  });
});
