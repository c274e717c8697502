import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { LLM } from 'node-tensorrt-llm';
import { createHandler, type Handler } from 'node-tensorrt-llm/server';
import { tinyEngine } from '../../tools/engines.js';
import { PROJECT_ROOT } from '../../tools/project.js';

let llm: LLM;
let handler: Handler;
before(async () => {
  llm = await LLM.load(await tinyEngine());
  handler = createHandler(llm, { page: true, apiKeys: ['secret'], allowedHosts: ['localhost'] });
});
after(() => llm.close());

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> =>
  handler(new Request(`http://localhost${path}`, { method, headers }));

/** Paths of what the page loads. */
async function assets(): Promise<string[]> {
  const html = await (await ask('/')).text();
  return [...html.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map(([, path]) => `/${path}`);
}

test('the page and what it loads are served without the key, and the API is not', async () => {
  const [css, js, ...others] = await assets();
  assert.deepEqual(others, []);
  for (const [path, type] of [
    ['/', 'text/html; charset=utf-8'],
    [css, 'text/css; charset=utf-8'],
    [js, 'text/javascript; charset=utf-8'],
  ] as const) {
    const response = await ask(path ?? '');
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), type);
    assert.ok((await response.text()).length > 0);
  }
  assert.equal((await ask('/v1/models')).status, 401);
});

test('the page is not there unless it is asked for', async () => {
  const plain = createHandler(llm);
  assert.equal((await plain(new Request('http://localhost/'))).status, 404);
});

test('nothing beside the files of the page is served', async () => {
  for (const path of [
    '/assets',
    '/assets/x.js',
    '/NOTICES.txt',
    '/assets/../NOTICES.txt',
    '/assets/%2e%2e/NOTICES.txt',
    '/index.html.gz',
  ]) {
    assert.equal((await ask(path, { authorization: 'Bearer secret' })).status, 404, path);
  }
});

test('the page is answered 403 to a host that is not allowed', async () => {
  assert.equal((await ask('/', { host: 'evil.example' })).status, 403);
});

test('the page takes GET and HEAD, and HEAD has the headers without the body', async () => {
  const refused = await ask('/', { authorization: 'Bearer secret' }, 'POST');
  assert.equal(refused.status, 405);
  assert.equal(refused.headers.get('allow'), 'GET, HEAD');
  const head = await ask('/', {}, 'HEAD');
  assert.deepEqual([...head.headers], [...(await ask('/')).headers]);
  assert.equal(await head.text(), '');
});

test('the policy lets the page load only what the server has, run no script of an answer, and be framed by nobody', async () => {
  for (const path of ['/', ...(await assets())]) {
    const { headers } = await ask(path);
    const policy = headers.get('content-security-policy')?.split('; ') ?? [];
    for (const directive of [
      "default-src 'none'",
      "script-src 'self'",
      "connect-src 'self'",
      "img-src 'self' data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ]) {
      assert.ok(policy.includes(directive), directive);
    }
    assert.doesNotMatch(policy.join(), /unsafe|https?:|\*/);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
  }
});

test('an asset is named after its contents and kept for ever; the page is asked for again', async () => {
  for (const path of await assets()) {
    const response = await ask(path);
    const hash = createHash('sha256')
      .update(await response.text())
      .digest('hex');
    assert.match(path, new RegExp(`^/assets/page-${hash.slice(0, 12)}\\.(js|css)$`));
    assert.match(response.headers.get('cache-control') ?? '', /immutable/);
  }
  assert.equal((await ask('/')).headers.get('cache-control'), 'no-cache');
});

test('a client that has the file is answered 304 without it', async () => {
  const etag = (await ask('/')).headers.get('etag') ?? '';
  for (const known of [etag, `"other", W/${etag}`, '*']) {
    const response = await ask('/', { 'if-none-match': known });
    assert.equal(response.status, 304);
    assert.equal(response.headers.get('etag'), etag);
    assert.equal(await response.text(), '');
  }
  assert.equal((await ask('/', { 'if-none-match': '"other"' })).status, 200);
});

test('only a client that takes gzip gets it, under an entity tag of its own', async () => {
  for (const path of ['/', ...(await assets())]) {
    const plain = await ask(path);
    const gzip = await ask(path, { 'accept-encoding': 'br, GZIP' });
    assert.equal(plain.headers.get('content-encoding'), null);
    assert.equal(gzip.headers.get('content-encoding'), 'gzip');
    assert.equal(gzip.headers.get('vary'), 'accept-encoding');
    assert.notEqual(gzip.headers.get('etag'), plain.headers.get('etag'));
    const bytes = Buffer.from(await gzip.arrayBuffer());
    assert.equal(gzip.headers.get('content-length'), String(bytes.byteLength));
    assert.equal(gunzipSync(bytes).toString(), await plain.text());
  }
  for (const refused of ['gzip;q=0', 'br, gzip; q=0.0', 'gzippy']) {
    assert.equal((await ask('/', { 'accept-encoding': refused })).headers.get('content-encoding'), null, refused);
  }
});

test('the page keeps to its budget: 60 KB of script, 8 KB of style, 2 KB of HTML, 200 KB in the package', async () => {
  const max: Record<string, number> = { html: 2_000, css: 8_000, js: 60_000 };
  for (const path of ['/', ...(await assets())]) {
    const kind = path === '/' ? 'html' : path.slice(path.lastIndexOf('.') + 1);
    const bytes = gzipSync(await (await ask(path)).text()).byteLength;
    assert.ok(bytes <= (max[kind] ?? 0), `${bytes} bytes of ${kind}`);
  }
  const dir = join(PROJECT_ROOT, 'dist/page');
  let total = 0;
  for (const name of await readdir(dir, { recursive: true })) total += (await stat(join(dir, name))).size;
  assert.ok(total <= 200_000, `${total} bytes`);
});

test('the licence of each package in the page is in the package', async () => {
  const notices = await readFile(join(PROJECT_ROOT, 'dist/page/NOTICES.txt'), 'utf8');
  for (const name of ['preact', '@preact/signals', '@preact/signals-core', 'marked', 'dompurify']) {
    assert.match(notices, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+, `, 'm'));
  }
});
