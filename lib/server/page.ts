import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

/** What scripts/build-page.mjs made of web/: compressed files. */
const DIRECTORY = fileURLToPath(new URL('../page/', import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
};

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:", // a remote image in an answer would tell its host what the address says
  "connect-src 'self'",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types dompurify',
].join('; ');

const COMMON = {
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  vary: 'accept-encoding',
};

/** Answers a GET or HEAD request for one file of the page. */
type PageFile = (request: Request) => Response;

/** The files of the page by their paths, read once. */
export function readPage(): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>();
  for (const file of readdirSync(DIRECTORY, { recursive: true, encoding: 'utf8' })) {
    const [, name = '', extension = ''] = /^(.+\.(html|js|css))\.gz$/.exec(file) ?? [];
    if (name === '') continue;
    const isAsset = name !== 'index.html';
    // The hash in its name tells an asset from the next version's.
    const cache = isAsset ? 'public, max-age=31536000, immutable' : 'no-cache';
    const headers = { ...COMMON, 'content-type': TYPES[extension] as string, 'cache-control': cache };
    files.set(isAsset ? `/${name}` : '/', pageFile(readFileSync(`${DIRECTORY}${file}`), headers));
  }
  return files;
}

function pageFile(gzip: Buffer, common: Readonly<Record<string, string>>): PageFile {
  const plain = gunzipSync(gzip);
  const hash = createHash('sha256').update(plain).digest('base64url').slice(0, 16);
  return ({ method, headers }) => {
    const isGzip = takesGzip(headers.get('accept-encoding') ?? '');
    const body = isGzip ? gzip : plain;
    const etag = isGzip ? `"${hash}-gzip"` : `"${hash}"`;
    const known = (headers.get('if-none-match') ?? '').split(',').map((each) => each.trim().replace(/^W\//, ''));
    if (known.includes(etag) || known.includes('*'))
      return new Response(null, { status: 304, headers: { ...common, etag } });
    const length = { 'content-length': String(body.byteLength) };
    const encoding = isGzip ? { 'content-encoding': 'gzip' } : {};
    return new Response(method === 'HEAD' ? null : body, { headers: { ...common, etag, ...length, ...encoding } });
  };
}

const takesGzip = (accepted: string): boolean => /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(accepted);
