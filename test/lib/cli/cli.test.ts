import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { TINY_LLAMAS, tinyLlamaTensors, writeSafetensors, writeTinyLlama } from '../../tools/tiny-llama.js';

const main = join(createRequire(import.meta.url).resolve('node-tensorrt-llm/package.json'), '../dist/cli/main.js');

interface Ran {
  status: number | null;
  out: string;
  err: string;
}

function run(args: string[], input = ''): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...args], (error, out, err) => {
      resolve({ status: error ? (typeof error.code === 'number' ? error.code : null) : 0, out, err });
    });
    child.stdin?.end(input);
  });
}

const lines = (out: string): Record<string, unknown>[] =>
  out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

let engine: string;
let expected: string;
before(async () => {
  engine = await tinyEngine();
  const llm = await LLM.load(engine);
  const messages = [{ role: 'user', content: 'hi' }];
  expected = (await llm.generate({ messages }, { maxTokens: 12 })).text;
  await llm.close();
});

test('--help of the program and of each command goes to standard output with status 0', async () => {
  for (const args of [
    ['--help'],
    ['help'],
    ...['pull', 'plan', 'build', 'convert', 'verify', 'query', 'chat', 'serve', 'setup', 'doctor'].map((name) => [
      name,
      '--help',
    ]),
  ]) {
    const { status, out, err } = await run(args);
    assert.deepEqual({ status, err }, { status: 0, err: '' });
    assert.match(out, /Usage: node-tensorrt-llm/);
  }
});

test('plan prints a table and what it recommends, or one object', async () => {
  const { status, out } = await run(['plan', engine, '--gpus', '2xT4', '--max-seq-len', '64']);
  assert.equal(status, 0);
  assert.match(out, /^LlamaForCausalLM, 0\.00 billion weights, on 2 x T4 of 16\.1 GB$/m);
  assert.match(out, /^float16 +1 +1 +1 .* recommended$/m);
  assert.match(out, /^Recommended for a sequence of 64 tokens: float16 on 1 GPU /m);
  const [object, ...others] = lines(
    (await run(['plan', engine, '--gpus', '2xT4', '--max-seq-len', '64', '--json'])).out,
  );
  assert.equal(others.length, 0);
  assert.deepEqual([object?.type, object?.maxSeqLen], ['plan', 64]);
});

test('wrong arguments end with status 2 and a hint to --help', async () => {
  const wrong: [string[], RegExp][] = [
    [['fly'], /Unknown command "fly"/],
    [['query'], /DIR is missing/],
    [['query', engine, 'a', 'b'], /"b" is one argument too many/],
    [['query', engine, 'hi', '--warmth', '2'], /--warmth/],
    [['query', engine, 'hi', '--seed', 'x'], /--seed is "x"/],
    [['convert', 'a', 'b', '--dtype', 'int3'], /--dtype is "int3"/],
    [['pull', '--source', 'moon'], /--source is "moon"/],
    [['build', 'a'], /OUT is missing/],
    [['build', 'a', 'b', 'c'], /"c" is one argument too many/],
    [['build', 'a', 'b', '--profile', 'x'], /--profile is "x"/],
    [['setup', 'now'], /"now" is one argument too many/],
  ];
  for (const [args, words] of wrong) {
    const { status, out, err } = await run(args);
    assert.equal(status, 2, args.join(' '));
    assert.equal(out, '');
    assert.match(err, words);
    assert.match(err, /--help/);
  }
});

test('a failure ends with status 1 and its code, in JSON too', async () => {
  const { status, out, err } = await run(['query', '/no/such/engine', 'hi', '--json']);
  assert.equal(status, 1);
  assert.match(err, /ERR_ENGINE_NOT_FOUND: \/no\/such\/engine/);
  assert.equal(lines(out)[0]?.code, 'ERR_ENGINE_NOT_FOUND');
  const unknown = await run(['pull', 'gpt-9']);
  assert.deepEqual({ status: unknown.status, out: unknown.out }, { status: 1, out: '' });
  assert.match(unknown.err, /ERR_SOURCE_NOT_FOUND/);
  const bad = await run(['query', engine, 'hi', '--temperature=-1']);
  assert.equal(bad.status, 1);
  assert.match(bad.err, /ERR_INVALID_OPTION: temperature is -1/);
});

test('query streams the answer to an argument, or to standard input', async () => {
  const { status, out } = await run(['query', engine, 'hi', '--max-tokens', '12']);
  assert.deepEqual({ status, out }, { status: 0, out: expected.endsWith('\n') ? expected : `${expected}\n` });
  assert.equal((await run(['query', engine, '--max-tokens', '12'], 'hi')).out, out);
  assert.equal((await run(['query', engine, '-', '--max-tokens', '12'], 'hi')).out, out);
});

test('query --json prints chunks, then the result with the same text', async () => {
  const { out } = await run(['query', engine, 'hi', '--max-tokens', '12', '--json']);
  const objects = lines(out);
  const result = objects.pop();
  assert.ok(objects.every(({ type }) => type === 'chunk'));
  assert.equal(objects.map(({ text }) => text).join(''), expected);
  assert.equal(result?.type, 'result');
  assert.equal(result?.text, expected);
});

test('query prints reasoning on standard error, and with --json apart from the text', async () => {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(engine, dir, { recursive: true });
  await writeFile(join(dir, 'chat_template.jinja'), '{{ messages[0].content }}<|im_start|>assistant\n<think>');
  const flags = ['--max-tokens', '12'];
  const { out, err } = await run(['query', dir, 'hi', ...flags]);
  const [result] = lines((await run(['query', dir, 'hi', ...flags, '--json'])).out).slice(-1);
  assert.deepEqual([out.trim(), result?.text], ['', '']);
  assert.equal(err, result?.reasoning);
  assert.notEqual(err, '');
});

test('query --raw continues a text', async () => {
  const llm = await LLM.load(engine);
  const { text } = await llm.generate('hi', { maxTokens: 12, temperature: 1, seed: 5, stop: ['zz', 'qq'] });
  await llm.close();
  const flags = ['--max-tokens', '12', '--temperature', '1', '--seed', '5', '--stop', 'zz', '--stop', 'qq', '--json'];
  const { out } = await run(['query', engine, 'hi', '--raw', ...flags]);
  assert.equal(lines(out).at(-1)?.text, text);
});

test('chat answers each line with the conversation before it, and /clear forgets it', async () => {
  const flags = ['--max-tokens', '12', '--json'];
  const { status, out } = await run(['chat', engine, ...flags], 'hi\n\nand you\n/clear\nhi\n/exit\nunread\n');
  assert.equal(status, 0);
  const results = lines(out).filter(({ type }) => type === 'result');
  assert.equal(results.length, 3);
  assert.equal(results[0]?.text, expected);
  assert.equal(results[2]?.text, expected);
  const promptTokens = results.map(({ usage }) => (usage as { promptTokens: number }).promptTokens);
  assert.ok((promptTokens[1] ?? 0) > (promptTokens[0] ?? 0) && promptTokens[2] === promptTokens[0]);
});

test('convert makes an engine that query runs', async () => {
  const dir = await temporaryDirectory();
  await writeTinyLlama(join(dir, 'source'), TINY_LLAMAS.text);
  const { status, out } = await run(['convert', join(dir, 'source'), join(dir, 'engine'), '--max-seq-len', '128']);
  assert.deepEqual({ status, out }, { status: 0, out: `${join(dir, 'engine')}\n` });
  assert.equal((await run(['query', join(dir, 'engine'), 'hi', '--max-tokens', '3'])).status, 0);
});

test('convert says on stderr what its user should know of the source', async () => {
  const dir = await temporaryDirectory();
  const source = join(dir, 'source');
  await writeTinyLlama(source, { ...TINY_LLAMAS.gqa, tied: true });
  const untied = tinyLlamaTensors({ ...TINY_LLAMAS.gqa, tied: false });
  await writeSafetensors(join(source, 'model.safetensors'), untied);
  const { status, out, err } = await run(['convert', source, join(dir, 'engine')]);
  assert.deepEqual({ status, out }, { status: 0, out: `${join(dir, 'engine')}\n` });
  assert.match(err, /^warning: .* says tie_word_embeddings, but its lm_head\.weight differs/m);
});

test('an interrupt ends a query with status 130', async () => {
  const child = spawn(process.execPath, [main, 'query', engine, 'hi', '--json']);
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  const [status] = (await once(child, 'exit')) as [number | null];
  assert.equal(status, 130);
});

test('a reader that closes the pipe ends a query quietly', async () => {
  const child = spawn(process.execPath, [main, 'query', engine, 'hi', '--json']);
  await once(child.stdout, 'data');
  child.stdout.destroy();
  const [status] = (await once(child, 'exit')) as [number | null];
  assert.equal(status, 0);
});
