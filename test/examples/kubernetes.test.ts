import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import { tinyEngine } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';

const textOf = (name: string): string => readFileSync(join(PROJECT_ROOT, 'examples/kubernetes', name), 'utf8');
const manifest = textOf('deployment.yaml');

let llm: LLM;
before(async () => {
  llm = await LLM.load(await tinyEngine());
});
after(() => llm.close());

test('each probe of the manifest asks a path that answers 200 without a key', async () => {
  const handler = createHandler(llm, { apiKeys: ['secret'] });
  const paths = [...manifest.matchAll(/httpGet: \{ path: (\S+),/g)].map(([, path]) => path);
  assert.equal(paths.length, 3);
  for (const path of paths) assert.equal((await handler(new Request(`http://localhost${path}`))).status, 200, path);
});

test('serve has each option of the manifest and the Dockerfile', () => {
  const help = execFileSync(process.execPath, [join(PROJECT_ROOT, 'dist/cli/main.js'), 'serve', '--help'], {
    encoding: 'utf8',
  });
  const args = manifest.match(/args: (.*)/)?.[1] + textOf('Dockerfile');
  const options = args.match(/(?<=[ "[])--(?!omit|force)[a-z-]+/g) ?? [];
  assert.ok(options.length >= 8);
  for (const option of options) assert.match(help, new RegExp(`^  ${option}\\b`, 'm'));
});

test('Kubernetes waits for longer than the hook and the drain of the manifest take together', () => {
  const seconds = (pattern: RegExp): number => Number(pattern.exec(manifest)?.[1]);
  const needed = seconds(/sleep: \{ seconds: (\d+)/) + seconds(/--drain, "(\d+)"/);
  assert.ok(seconds(/terminationGracePeriodSeconds: (\d+)/) > needed);
});
