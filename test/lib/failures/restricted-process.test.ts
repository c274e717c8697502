import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { NODE_VERSIONS } from '../../tools/node-versions.js';
import { type ProgramOptions, runProgram } from '../../tools/programs.js';
import { PROJECT_ROOT } from '../../tools/project.js';
import { TINY_LLAMAS, writeTinyLlama } from '../../tools/tiny-llama.js';
import type { Work } from './programs/load-here.js';

const program = new URL('./programs/load-here.js', import.meta.url);

async function told(work: Work, options: ProgramOptions): Promise<unknown> {
  const { status, told, err } = await runProgram(program, work, options);
  assert.equal(status, 0, err);
  assert.equal(told.length, 1, err);
  return told[0];
}

for (const { major, node } of NODE_VERSIONS) {
  const permission = major < 22 ? '--experimental-permission' : '--permission';
  const flags = [permission, '--no-warnings', `--allow-fs-read=${PROJECT_ROOT}/*`];

  test(`under the permission model of Node.js ${major} an engine loads with its files and addons allowed`, async () => {
    const engine = await tinyEngine();
    const allowed = { node, flags: [...flags, '--allow-addons', `--allow-fs-read=${engine}/*`] };
    for (const isolation of ['none', 'process'] as const) {
      assert.equal(await told({ load: engine, options: { executor: 'cpu', isolation } }, allowed), 2);
    }
    assert.equal(await told({ load: engine }, allowed), 2);
  });

  test(`under the permission model of Node.js ${major} a model is converted without worker threads`, async () => {
    const source = join(await temporaryDirectory(), 'source');
    const out = join(await temporaryDirectory(), 'engine');
    await writeTinyLlama(source, TINY_LLAMAS.text);
    const places = [
      `--allow-fs-read=${source}/*`,
      ...['read', 'write'].map((may) => `--allow-fs-${may}=${dirname(out)}/*`),
    ];
    assert.equal(await told({ convert: [source, out] }, { node, flags: [...flags, ...places] }), out);
  });

  test(`what Node.js ${major} does not permit is an error of its own, and names the flag that permits it`, async () => {
    const engine = await tinyEngine();
    const source = join(await temporaryDirectory(), 'source');
    const out = join(await temporaryDirectory(), 'engine');
    await writeTinyLlama(source, TINY_LLAMAS.text);
    const cases: [work: Work, flags: string[], message: RegExp][] = [
      [{ load: engine }, [`--allow-fs-read=${engine}/*`], /^ERR_ADDON_LOAD: .* --allow-addons\.$/],
      [{ load: engine }, ['--allow-addons'], /^ERR_ENGINE_NOT_FOUND: .* --allow-fs-read=/],
      [{ convert: [source, out] }, [], /^ERR_SOURCE_NOT_FOUND: .* --allow-fs-read=/],
      [
        { convert: [source, out] },
        [`--allow-fs-read=${source}/*`, `--allow-fs-read=${out}`],
        /^ERR_NOT_WRITABLE: .* --allow-fs-write=/,
      ],
      [{ askCuda: [process.execPath, out] }, [], /^ERR_EXECUTOR_UNAVAILABLE: .* --allow-child-process /],
    ];
    for (const [work, more, message] of cases)
      assert.match(String(await told(work, { node, flags: [...flags, ...more] })), message);
  });
}

const mounted = (options: string): string[] => [
  'unshare',
  '--mount',
  'sh',
  '-c',
  `mount -t tmpfs -o ${options} tmpfs "$0" && "$@"; ls -A "$0"`,
];
const canMount = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;

for (const [where, options, reason] of [
  ['full', 'size=128k', 'ENOSPC'],
  ['read-only', 'ro', 'EROFS'],
] as const) {
  test(`where the disk is ${where} a conversion says so, and leaves nothing`, { skip: !canMount }, async () => {
    const source = join(await temporaryDirectory(), 'source');
    const place = await temporaryDirectory();
    await writeTinyLlama(source, TINY_LLAMAS.text);
    const launcher = [...mounted(options), place];
    const exit = await runProgram(program, { convert: [source, join(place, 'engine')] } satisfies Work, { launcher });
    assert.equal(exit.told.length, 1, `${exit.told}`);
    assert.match(String(exit.told[0]), new RegExp(`^ERR_NOT_WRITABLE: ${place}.* ${reason}.* Free space there`));
  });
}

test('where no more files can be opened an engine loads, or the error says to raise the limit', async () => {
  // A shell lowers the limit, high enough to import the package, and the program uses up all but some.
  const launcher = ['sh', '-c', 'ulimit -n 256 && exec "$0" "$@"'];
  const load = await tinyEngine();
  for (const options of [{ executor: 'cpu' }, { executor: 'cpu', isolation: 'process' }] as const) {
    for (const openFiles of [1, 2, 12]) {
      const outcome = await told({ openFiles, load, options }, { launcher });
      if (openFiles === 1) assert.match(String(outcome), /Raise the limit of open files: ulimit -n/);
      if (openFiles === 12 || outcome === 2) assert.equal(outcome, 2);
      else assert.match(String(outcome), /^ERR_[A-Z_]+: .*[Tt]oo many open files/);
    }
  }
});

test('without addons the error says so, and not that the package is damaged', async () => {
  const message = await told({ load: await tinyEngine() }, { flags: ['--no-addons'] });
  assert.match(String(message), /^ERR_ADDON_LOAD: .* Run node without --no-addons/);
});

test('in a directory that is gone an absolute path loads, and a relative one is an error that says why', async () => {
  const options = { executor: 'cpu' } as const;
  assert.equal(await told({ removedDirectory: await temporaryDirectory(), load: await tinyEngine(), options }, {}), 2);
  for (const work of [
    { load: 'engine', options },
    { load: await tinyEngine(), options: { executor: { library: 'library.so' } } },
    { convert: ['source', '/tmp/out'] },
  ] satisfies Work[]) {
    const message = await told({ removedDirectory: await temporaryDirectory(), ...work }, {});
    assert.match(String(message), /^ERR_INVALID_OPTION: .*current directory.*absolute path/);
  }
});
