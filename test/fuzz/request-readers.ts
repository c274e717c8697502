import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChatMessage } from '#lib/base/types.js';
import { readGenerateOptions } from '#lib/options/generate.js';
import { readPrompt } from '#lib/request/input.js';
import { ChatTemplate } from '#lib/text/chat-template.js';
import { ResponseParser } from '#lib/text/response/response-parser.js';
import type { Tokenizer } from '#lib/text/tokenizer.js';
import { damageFile } from './damage.js';
import type { Random } from './random.js';
import type { Reader } from './reader.js';
import { templateSource } from './template-source.js';

/** In ms of processor time: one request with the default limits takes a fifth of it on a machine that has nothing else to do. */
const MAX_CPU_MS = 400;

async function withinBudget(work: () => unknown): Promise<void> {
  const start = process.cpuUsage();
  try {
    await work();
  } finally {
    const { user, system } = process.cpuUsage(start);
    assert.ok(user + system < MAX_CPU_MS * 1000, `${(user + system) / 1000} ms of processor time`);
  }
}

const MESSAGES = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'a', function: { name: 'f', arguments: { x: [1, 2.5, null, true] } } }],
  },
];
const TOOLS = [
  { type: 'function', function: { name: 'f', parameters: { properties: { x: { anyOf: [{ type: 'integer' }] } } } } },
];

const RESPONSE_TEMPLATE = {
  version: 1,
  start_anchor_pattern: '<bot>\\s*',
  fields: {
    reasoning_content: { open: ['<think>', '<thinking>'], close: '</think>', content_args: { strip: false } },
    tool_calls: {
      open_pattern: '<call name=(?P<name>[^>]{1,20})>|<(?P<id>\\w+?)>(?=\\{)',
      close_pattern: '</call>|$',
      repeats: true,
      content: 'xml-inline',
      content_args: { tag_pattern: '<p=(?P<key>\\w+)>(?P<value>.*?)</p>', value_parser: { name: 'json' } },
      transform: { type: 'function', id: '{id}', function: { name: '{name}', arguments: '{content}' } },
    },
    content: { content: 'text' },
  },
};

const ANSWERS = 100;

/** Of its form, and of others. */
const ANSWER = '<think>a</think> b <call name=f><p=x>"1"</p></call> {"name": "f", "arguments": {"x": 1}} <call name=';

const OPTIONS = {
  responseTemplate: RESPONSE_TEMPLATE,
  maxTokens: 3,
  stop: ['a', 'b'],
  stopTokens: [1, [2, 3]],
  badWords: 'word',
  badTokens: [[4]],
  logitBias: { 5: 0.5 },
  additionalOutputs: ['x'],
  beamWidth: 2,
  beamWidths: [1, 2],
  guided: { jsonSchema: { type: 'object' } },
  lora: { id: 1 },
  kvRetention: { ranges: [{ start: 0, end: 4, priority: 3 }] },
  eagle: { choices: [[0], [0, 1]] },
  draft: { tokens: [1, 2], logits: { data: { '@': 'Float32Array' }, shape: [2, 2] } },
  lookahead: { window: 1, ngram: 2, verificationSet: 1 },
};

/** What JSON cannot say, by the name that stands for it. */
const SPECIAL: Readonly<Record<string, () => unknown>> = {
  Float32Array: () => new Float32Array(4),
  Uint8Array: () => new Uint8Array(100_000),
  BigInt64Array: () => new BigInt64Array(2),
  detached: () => {
    const array = new Float32Array(4);
    structuredClone(array.buffer, { transfer: [array.buffer] });
    return array;
  },
  shared: () => new Int32Array(new SharedArrayBuffer(16)),
  'a prototype': () => Object.create(Int32Array.prototype),
  'holes without end': () => new Array(4_294_967_295),
  'a hole': () => Object.assign(new Array(3), { 0: 1, 2: 1 }),
  'a length': () => ({ length: 2 ** 53 - 1 }),
  'a length that lies': () =>
    new Proxy([1], { get: (list, name) => (name === 'length' ? 1e9 : Reflect.get(list, name)) }),
  'an iterator without end': () =>
    Object.assign([1], {
      *[Symbol.iterator]() {
        for (;;) yield 1;
      },
    }),
  revoked: () => {
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    return proxy;
  },
  throws: () => new Proxy({}, { ownKeys: () => assert.fail('no'), get: () => assert.fail('no') }),
  'throws nothing': () =>
    Object.defineProperty({}, 'role', {
      enumerable: true,
      get: () => {
        throw Object.create(null);
      },
    }),
  cyclic: () => {
    const list: unknown[] = [];
    list.push(list);
    return list;
  },
  'a million fields': () => Object.fromEntries(Array.from({ length: 1_000_000 }, (_, i) => [i, 1])),
  'a long text': () => 'x'.repeat(1_000_000),
  bigint: () => 1n,
  symbol: () => Symbol('s'),
  function: () => () => 1,
  undefined: () => undefined,
  'not a number': () => Number.NaN,
};

/** JSON in which values like `{ "@": "bigint" }` stand for what it cannot say. */
const revive = (json: string): unknown =>
  JSON.parse(json, (_, value) => {
    const special =
      typeof value === 'object' && value !== null && Object.hasOwn(value, '@')
        ? SPECIAL[String(value['@'])]
        : undefined;
    return special ? special() : value;
  });

/** Some values of a JSON text replaced by special ones. */
function withSpecials(json: Buffer, random: Random): Buffer {
  let text = json.toString();
  for (let left = random.below(3); left > 0; left--) {
    const special = JSON.stringify({ '@': random.pick(Object.keys(SPECIAL)) });
    const values = [...text.matchAll(/(?<=[:[,]\s*)(?:"[^"]*"(?!:)|-?[\d.]+|\[[^[\]]*\]|\{[^{}]*\}|null|true)/g)];
    if (values.length === 0) break;
    const { index, 0: found } = random.pick(values);
    text = text.slice(0, index) + special + text.slice(index + found.length);
  }
  return Buffer.from(text);
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const damagedJson = (name: string, bytes: Buffer, random: Random): Buffer =>
  withSpecials(random.oneIn(3) ? bytes : damageFile(name, bytes, random), random);

/** A text that JSON.parse takes, or that of the valid value. */
function parsed(bytes: Buffer, fallback: unknown): unknown {
  try {
    return revive(bytes.toString());
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) return fallback;
    throw error;
  }
}

/** Readers of what comes with a request, rather than with a model; but for templates, which come with both. */
export const REQUEST_READERS: Readonly<Record<string, Reader>> = {
  template: {
    codes: ['ERR_CHAT_TEMPLATE', 'ERR_INVALID_INPUT'],
    maxGrowthMiB: 192, // 250,000 steps may take that
    prepare: async () => {
      const valid = { 'template.jinja': Buffer.from('{{ messages }}'), 'messages.json': json(MESSAGES) };
      return {
        valid,
        damaged: (random) => ({
          'template.jinja': Buffer.from(templateSource(random)),
          'messages.json': random.oneIn(2)
            ? valid['messages.json']
            : damagedJson('messages.json', valid['messages.json'], random),
        }),
      };
    },
    async read(dir) {
      const source = await readFile(join(dir, 'template.jinja'), 'utf8');
      const messages = parsed(await readFile(join(dir, 'messages.json')), MESSAGES) as ChatMessage[];
      const template = new ChatTemplate(source, {}, { timeMs: 60_000 }); // the steps alone must bound it
      await withinBudget(() => assert.equal(typeof template.render(messages, { tools: [] }), 'string'));
    },
  },
  request: {
    codes: ['ERR_INVALID_OPTION', 'ERR_INVALID_INPUT', 'ERR_PROMPT_TOO_LONG', 'ERR_CHAT_TEMPLATE'],
    maxGrowthMiB: 256, // the inputs themselves are large
    prepare: async () => {
      const valid = { 'options.json': json(OPTIONS), 'input.json': json({ messages: MESSAGES, tools: TOOLS }) };
      return {
        valid,
        damaged: (random) => ({
          'options.json': damagedJson('options.json', valid['options.json'], random),
          'input.json': damagedJson(
            'input.json',
            random.oneIn(2)
              ? valid['input.json']
              : json(random.pick<unknown>(['text', { tokens: [1, 2] }, { tokens: {} }])),
            random,
          ),
        }),
      };
    },
    async read(dir) {
      const options = parsed(await readFile(join(dir, 'options.json')), OPTIONS);
      const input = parsed(await readFile(join(dir, 'input.json')), 'text');
      const template = new ChatTemplate('{{ messages }}', {});
      const encode = async () => Int32Array.of(1);
      const tokenizer = {
        encode,
        encodeChat: async (...args: Parameters<ChatTemplate['render']>) =>
          encode().finally(() => template.render(...args)),
        applyChatTemplate: (...args: Parameters<ChatTemplate['render']>) => template.render(...args),
        responseTemplate: () => new ChatTemplate('<tool_call>', {}).response,
        shownTokens: () => new Int32Array(0),
      } as unknown as Tokenizer;
      await withinBudget(() => {
        const context = { tokenizer: () => tokenizer, maxTokens: 64 };
        const { response } = readPrompt(input, readGenerateOptions(options, {}), context);
        if (!response) return;
        let count = 0;
        const sink = { text: () => count++, reasoning: () => count++, call: () => count++ };
        const parser = new ResponseParser(response, sink);
        for (let i = 0; i < ANSWERS; i++) parser.push(ANSWER);
        parser.end();
        assert.ok(count > 0, 'nothing of the answer came out');
      });
    },
  },
};
