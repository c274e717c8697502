import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../tools/tiny-llama.js';
import { writeTinyNemo } from '../tools/tiny-nemo.js';
import { readSections } from './markdown.js';

/** The page's model but for its sizes: eight KV heads, a head of its own, bfloat16, and RoPE scaled from 8,192 positions. */
const NEMOTRON: TinyLlamaSpec = {
  ...TINY_LLAMAS.text,
  heads: 16,
  kvHeads: 8,
  headDim: 8,
  hiddenSize: 128,
  intermediateSize: 256,
  layers: 2,
  tied: false,
  dtype: 'bfloat16',
  ropeTheta: 500_000,
  maxPositions: 131_072,
  ropeScaling: {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  },
};

const run = promisify(execFile);

describe('docs/nemotron.md', () => {
  let dir: string;
  before(async () => {
    dir = await temporaryDirectory();
    const source = join(dir, 'Llama-3.1-Nemotron-70B-Instruct-HF');
    await writeTinyLlama(source, NEMOTRON);
    await writeTinyNemo(join(dir, 'Llama-3.1-Nemotron-70B-Instruct'), NEMOTRON);
    const tokenizer = join(dir, 'Meta-Llama-3.1-70B-Instruct');
    await mkdir(tokenizer);
    for (const name of ['tokenizer.json', 'tokenizer_config.json'])
      await copyFile(join(source, name), join(tokenizer, name));
  });

  const commands = readSections('docs/nemotron.md')
    .flatMap(({ blocks }) => blocks)
    .filter(({ language }) => language === 'sh')
    .map(({ code }) => code.trim());

  test('has a command for each step', () => {
    const names = commands.map((command) => /^npx node-tensorrt-llm (\w+) /.exec(command)?.[1]);
    assert.deepEqual(names, ['plan', 'build', 'build', 'query', 'query', 'serve', undefined, 'plan', 'build']);
  });

  const isServed = (command: string): boolean => /^(npx node-tensorrt-llm serve|curl) /.test(command);

  for (const command of commands.filter((each) => !isServed(each))) {
    test(command, async () => {
      const [, words = ''] = /^npx node-tensorrt-llm (.*)$/.exec(command) ?? [];
      const shorter = words.replace('--max-tokens 1024', '--max-tokens 8');
      const line = `"${process.execPath}" "${join(PROJECT_ROOT, 'dist/cli/main.js')}" ${shorter}`;
      const { stdout } = await run('/bin/sh', ['-c', line], {
        cwd: dir,
        env: { ...process.env, PATH: '/usr/bin:/bin' },
      });
      if (words.startsWith('plan')) assert.match(stdout, /^Recommended for a sequence of \d+ tokens: bfloat16 on /m);
      else assert.notEqual(stdout, '');
      const [, out] = /^build \S+ (\S+)/.exec(words) ?? [];
      if (out === undefined) return;
      const { pretrained_config } = JSON.parse(await readFile(join(dir, out, 'config.json'), 'utf8'));
      assert.equal(pretrained_config.mapping.tp_size, out.endsWith('128k') ? 4 : 2);
      assert.equal(pretrained_config.rotary_scaling.rope_type, 'llama3');
    });
  }

  test(commands.filter(isServed).join(' and '), async () => {
    const [serve = '', curl = ''] = commands.filter(isServed);
    const args = serve.replace('npx node-tensorrt-llm', join(PROJECT_ROOT, 'dist/cli/main.js')).replace('8000', '0');
    const server = spawn(process.execPath, args.split(' '), { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      let printed = '';
      for await (const chunk of server.stdout) {
        printed += chunk;
        if (printed.includes(' serves ')) break;
      }
      const [, port = ''] = /:(\d+) serves nemotron$/m.exec(printed) ?? [];
      const line = curl.replace('curl', 'curl -sS --fail-with-body').replace('8000', port).replace('1024', '8');
      const { stdout } = await run('/bin/sh', ['-c', line]);
      assert.equal(JSON.parse(stdout).usage.completion_tokens, 8);
    } finally {
      server.kill();
    }
  });
});
