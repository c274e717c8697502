import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { build } from 'esbuild';
import { LLM, type Result } from 'node-tensorrt-llm';
import { publint } from 'publint';
import { tinyEngine } from '../tools/engines.js';
import { NODE_VERSIONS } from '../tools/node-versions.js';
import { PROJECT_ROOT } from '../tools/project.js';
import { installPackage, type Packed, run } from './install.js';

// About a third more than measured 2026-11-29: 1,869 KB packed, 4,653 KB on disk, 2,152 KB of it the addon and 1,078 KB its host program.
const BUDGET = { packed: 2_490_000, unpacked: 6_200_000 };
// Libraries that are packed with their notices where they are built, as for a release, likewise: 7,213 and 8,553 KB; 1,353 and 3,781 KB.
const LIBRARIES = [
  { name: 'libexecutor_cuda.so', packed: 9_600_000, unpacked: 11_400_000 },
  { name: 'libguidance.so', packed: 1_800_000, unpacked: 5_000_000 },
];

const binary = (name: string): string => join(PROJECT_ROOT, 'node_modules/.bin', name);

let packed: Packed;
let tarball: string;
let app: string; // a user's project, which has the package and nothing else
let engine: string;
let expected: Pick<Result, 'text' | 'finishReason'>; // of the program that each test runs

before(async () => {
  ({ packed, tarball, app } = await installPackage());

  engine = await tinyEngine();
  const llm = await LLM.load(engine);
  const { text, finishReason } = await llm.generate('Once upon a time', { maxTokens: 12, temperature: 0 });
  await llm.close();
  expected = { text, finishReason };
});

const packedLibraries = () =>
  LIBRARIES.filter(({ name }) => packed.files.some(({ path }) => path.endsWith(`/${name}`)));

test('the tarball holds what runs, its types, what setup compiles, README, LICENSE and CHANGELOG, and nothing else', () => {
  const needed =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/.+\.(c?js|d\.c?ts)|dist\/page\/(NOTICES\.txt|index\.html\.gz|assets\/page-[0-9a-f]{12}\.(js|css)\.gz)|prebuilds\/linux-x64\/(node-tensorrt-llm\.glibc\.node|node_tensorrt_llm_host|lib(executor_cuda|guidance)\.(so|NOTICES\.txt))|CMakeLists\.txt|native\/(executor|executor\/cpp|json)\/(\w+\.(cc|h)|CMakeLists\.txt)|native\/tensorrt_llm\/(\w+\.(cc|h)|exports\.map|CMakeLists\.txt))$/;
  const paths = packed.files.map(({ path }) => path);
  assert.deepEqual(
    paths.filter((path) => !needed.test(path)),
    [],
  );
  for (const path of ['README.md', 'LICENSE', 'CHANGELOG.md', 'dist/index.d.ts', 'dist/cli/main.js']) {
    assert.ok(paths.includes(path), `${path} is missing`);
  }
  assert.equal(paths.filter((path) => path.startsWith('prebuilds/')).length, 2 + 2 * packedLibraries().length);
});

test('no file of dist outlives its source', () => {
  for (const { path } of packed.files) {
    if (!path.startsWith('dist/') || path.startsWith('dist/page/')) continue; // build-page.mjs empties dist/page
    const source = path.replace(/^dist/, 'lib').replace(/\.(c?js|d\.c?ts)$/, '.ts');
    assert.ok(existsSync(join(PROJECT_ROOT, source)), `${path} has no ${source}`);
  }
});

test('the tarball keeps to its budget of bytes', () => {
  for (const [found, kind] of [
    [packed.size, 'packed'],
    [packed.unpackedSize, 'unpacked'],
  ] as const) {
    const budget = [BUDGET, ...packedLibraries()].reduce((sum, part) => sum + part[kind], 0);
    assert.ok(found <= budget, `${found} bytes ${kind}`);
  }
});

test('publint finds nothing to say', async () => {
  const { buffer, byteOffset, byteLength } = await readFile(tarball);
  const { messages } = await publint({
    pack: { tarball: buffer.slice(byteOffset, byteOffset + byteLength) },
    strict: true,
  });
  assert.deepEqual(messages, []);
});

test('Are the types wrong? They are not, for ES modules and CommonJS', async () => {
  await run(binary('attw'), ['--profile', 'node16', '--no-definitely-typed', tarball], app);
});

for (const [module, program] of [
  ['node16', 'generate.ts'],
  ['node16', 'commonjs.cts'],
  ['bundler', 'generate.ts'],
] as const) {
  test(`${program} type-checks against the package in ${module} resolution, its declarations too`, async () => {
    const dir = join(app, `types-${module}-${program}`);
    await mkdir(dir);
    await copyFile(join(PROJECT_ROOT, 'test/package/programs', program), join(dir, program));
    const compilerOptions = {
      target: 'es2022',
      module: module === 'bundler' ? 'esnext' : module,
      moduleResolution: module,
      strict: true,
      skipLibCheck: false,
      noEmit: true,
      types: ['node'],
      typeRoots: [join(PROJECT_ROOT, 'node_modules/@types')],
    };
    await writeFile(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    const files = await run(binary('tsc'), ['-p', dir, '--listFiles'], app);
    assert.match(files, /app\/node_modules\/node-tensorrt-llm\/dist\/index\.d\.c?ts/);
  });
}

test('a bundle by esbuild with the package external runs', async () => {
  await build({
    entryPoints: [join(PROJECT_ROOT, 'test/package/programs/generate.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['node-tensorrt-llm'],
    outfile: join(app, 'bundle.js'),
    logLevel: 'silent',
  });
  const printed = JSON.parse(await run(process.execPath, ['bundle.js', engine], app));
  assert.deepEqual(printed, { streamed: expected.text, ...expected });
});

/** Runs one of test/package/programs in the user's project. */
async function generate(node: string, program: string, isolation = 'none'): Promise<unknown> {
  await copyFile(join(PROJECT_ROOT, 'test/package/programs', program), join(app, program));
  return JSON.parse(await run(node, [program, engine, isolation], app));
}

for (const { major, node } of NODE_VERSIONS) {
  for (const program of ['import.mjs', 'require.cjs']) {
    test(`on Node.js ${major} a program that loads the package as ${program} does generates the text that it does here`, async () => {
      assert.deepEqual(await generate(node, program), { major, ...expected });
    });
  }

  test(`on Node.js ${major} the command line prints its help`, async () => {
    const help = await run(node, ['node_modules/.bin/node-tensorrt-llm', '--help'], app);
    assert.match(help, /Usage: node-tensorrt-llm COMMAND/);
  });
}

test('the executor runs in a process of its own', async () => {
  const major = Number.parseInt(process.versions.node, 10);
  assert.deepEqual(await generate(process.execPath, 'import.mjs', 'process'), { major, ...expected });
});

test('npx finds the command line', async () => {
  assert.match(await run('npx', ['--offline', 'node-tensorrt-llm', '--help'], app), /Usage: node-tensorrt-llm COMMAND/);
});
