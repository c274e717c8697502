// Builds the chat page that `serve` shows: web/ becomes dist/page, gzip files, which are named after their contents, and the licences of
// the packages that are in them.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = path.join(import.meta.dirname, '..');
const out = path.join(root, 'dist', 'page');
rmSync(out, { recursive: true, force: true });
mkdirSync(path.join(out, 'assets'), { recursive: true });

const write = (name, contents) => writeFileSync(path.join(out, `${name}.gz`), gzipSync(contents, { level: 9 }));

/** Writes an asset, and returns its name. */
function writeAsset(extension, contents) {
  const hash = createHash('sha256').update(contents).digest('hex').slice(0, 12);
  const name = `assets/page-${hash}.${extension}`;
  write(name, contents);
  return name;
}

const { outputFiles, metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['web/main.tsx', 'web/style/page.css'],
  outdir: 'dist/page',
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  format: 'iife',
  target: ['chrome111', 'firefox121', 'safari16.4'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  banner: { js: '/*! The licences of the packages in this file are in NOTICES.txt of node-tensorrt-llm. */' },
  logLevel: 'warning',
});

let html = readFileSync(path.join(root, 'web', 'index.html'), 'utf8');
for (const extension of ['js', 'css']) {
  const { contents } = outputFiles.find((file) => file.path.endsWith(`.${extension}`));
  html = html.replace(`page.${extension}`, writeAsset(extension, contents));
}
write('index.html', html);

const packages = new Set(
  Object.keys(metafile.inputs).flatMap((input) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []),
);
const notices = [...packages].sort().map((name) => {
  const dir = path.join(root, 'node_modules', name);
  const { version, license } = JSON.parse(readFileSync(path.join(dir, 'package.json'), 'utf8'));
  return `${name} ${version}, ${license}\n\n${readFileSync(path.join(dir, 'LICENSE'), 'utf8').trim()}\n`;
});
writeFileSync(
  path.join(out, 'NOTICES.txt'),
  `The chat page contains these packages.\n\n${notices.join(`\n${'-'.repeat(80)}\n\n`)}`,
);
