import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';
import { tinyAdapterTensors, writeAdapter } from '../tools/tiny-adapter.js';
import { readSections } from './markdown.js';

const DOCUMENT = 'docs/serving.md';

/** A user's project, with the packages and the engine that the page names. */
let app: string;
before(async () => {
  app = await temporaryDirectory();
  for (const dir of ['engines', 'node_modules', 'node_modules/@hono']) await mkdir(join(app, dir));
  await symlink(PROJECT_ROOT, join(app, 'node_modules/node-tensorrt-llm'));
  for (const name of ['srvx', 'express', 'fastify', 'hono', '@hono/node-server']) {
    await symlink(join(PROJECT_ROOT, 'node_modules', name), join(app, 'node_modules', name));
  }
  const engine = await tinyEngine();
  await symlink(engine, join(app, 'engines/smollm2'));
  await writeAdapter(join(app, 'adapters/pirate'), await tinyAdapterTensors(engine, 1));
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A process that serves at `port`, once it answers. */
async function serving(args: string[], port: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, args, { cwd: app, stdio: ['ignore', 'ignore', 'inherit'] });
  for (;;) {
    assert.equal(child.exitCode, null, 'it has ended');
    const isUp = await fetch(`http://localhost:${port}/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) return child;
  }
}

const textOf = (document: string): string => readFileSync(join(PROJECT_ROOT, document), 'utf8');

describe('the command lines of the documents', () => {
  let port: number;
  let server: ChildProcess;
  before(async () => {
    const [, dir] = textOf(DOCUMENT).match(/^ {4}npx node-tensorrt-llm serve (\S+)$/m) ?? [];
    port = await freePort();
    const main = join(PROJECT_ROOT, 'dist/cli/main.js');
    const adapter = ['--adapter', 'pirate=adapters/pirate'];
    server = await serving([main, 'serve', dir ?? '', '--port', String(port), '--sleep-routes', ...adapter], port);
  });
  after(() => server.kill());

  const curls = [DOCUMENT, 'docs/triton.md'].flatMap((document) => {
    const found = [...textOf(document).matchAll(/^ {4}curl .*$/gm)].map(([line]) => line);
    assert.ok(found.length > 5, document);
    return found;
  });
  for (const line of curls) {
    test(`${line.trim()} succeeds`, async () => {
      const command = line
        .replace('curl ', 'curl -sS --fail-with-body ')
        .replace('localhost:8000', `localhost:${port}`);
      const { stdout } = await promisify(execFile)('sh', ['-c', command]);
      if (!line.includes('curl -N ')) return void JSON.parse(stdout || '{}');
      const last = stdout.split('\n\n').at(-2) ?? '';
      assert.match(last, /^(event: response\.(completed|incomplete)\n)?data: (\{|\[DONE\]$)/);
      assert.doesNotMatch(last, /"error":[^n]/);
    });
  }
});

describe(`the programs of ${DOCUMENT} and docs/monitoring.md`, () => {
  for (const { title, blocks } of [...readSections(DOCUMENT), ...readSections('docs/monitoring.md')]) {
    for (const { language, code } of blocks) {
      assert.equal(language, 'js');
      test(`that with ${title} answers and streams`, async () => {
        const port = await freePort();
        const program = join(app, `${title.replace(':', '-')}.mjs`);
        await writeFile(program, code.replaceAll('8000', String(port)));
        const child = await serving([program], port);
        try {
          const ask = async (fields: object): Promise<string> => {
            const body = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 4, ...fields });
            const headers = { 'content-type': 'application/json' };
            const url = `http://localhost:${port}/v1/chat/completions`;
            return (await fetch(url, { method: 'POST', headers, body })).text();
          };
          const { choices } = JSON.parse(await ask({})) as { choices: { message: { content: string } }[] };
          const streamed = await ask({ stream: true });
          assert.ok(streamed.endsWith('data: [DONE]\n\n'));
          const parts = [...streamed.matchAll(/"content":("(?:[^"\\]|\\.)*")/g)].map(([, part = '""']) =>
            JSON.parse(part),
          );
          assert.equal(parts.join(''), choices[0]?.message.content);
        } finally {
          child.kill();
        }
      });
    }
  }
});
