import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { temporaryDirectory } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';

let dir: string;
before(async () => {
  dir = await temporaryDirectory();
});

function compile(source: string, name: string, ...options: string[]): string {
  const library = join(dir, name);
  // A library that stands in for a system's lacks what other libraries of the system want of it.
  const kind = source.includes('main()') ? ['-pie', '-fPIE', '-Wl,--allow-shlib-undefined'] : ['-shared', '-fPIC'];
  const args = ['-x', 'c++', '-', '-x', 'none', ...kind, '-Wl,--no-as-needed', '-o', library, ...options];
  const { status, stderr } = spawnSync('g++', args, { input: source, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return library;
}

const ADDON = `
  extern "C" void napi_register_module_v1() {}
  extern "C" void node_api_module_get_api_version_v1() {}
`;
const compileAddon = (source = '', ...options: string[]) => compile(ADDON + source, 'addon.node', '-s', ...options);

/** A library that stands in for a system's: it has the function, in the version. */
function standIn(library: string, symbol: string, version: string): string {
  const script = join(dir, `${symbol}.map`);
  writeFileSync(script, `${version} { global: ${symbol}; local: *; };`);
  const options = [`-Wl,-soname,${library}`, `-Wl,--version-script=${script}`, '-nostdlib'];
  return compile(`extern "C" void ${symbol}() {}`, `lib${symbol}.so`, ...options);
}

const calling = (symbol: string) => `extern "C" void ${symbol}(); static int called = (${symbol}(), 0);`;

/** The sentences of scripts/check-prebuild.mjs on an addon; none if it passes. */
function problems(addon: string): string[] {
  const script = join(PROJECT_ROOT, 'scripts/check-prebuild.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script, addon], { encoding: 'utf8' });
  const found = stderr.split('\n').filter((line) => line !== '');
  assert.equal(status, found.length > 0 ? 1 : 0, stderr);
  for (const line of found) assert.ok(line.startsWith(`${addon}: `), line);
  return found.map((line) => line.slice(addon.length + 2));
}

test('an addon that keeps to the bounds passes', () => {
  assert.deepEqual(problems(compileAddon()), []);
});

for (const [library, version, newest] of [
  ['libc.so.6', 'GLIBC_2.35', '2.34'],
  ['libm.so.6', 'GLIBC_2.104', '2.34'],
  ['libstdc++.so.6', 'GLIBCXX_3.4.30', '3.4.29'],
  ['libstdc++.so.6', 'CXXABI_1.3.14', '1.3.13'],
  ['libgcc_s.so.1', 'GCC_12.0.0', '7.0.0'],
] as const) {
  test(`a symbol that came with ${version} is refused by name`, () => {
    const addon = compileAddon(calling('newcomer'), standIn(library, 'newcomer', version));
    assert.deepEqual(problems(addon), [
      `It needs ${version} for newcomer@${version}; the newest allowed is ${newest}.`,
    ]);
  });
}

test('a symbol as new as the bounds allow passes', () => {
  assert.deepEqual(problems(compileAddon(calling('newest'), standIn('libm.so.6', 'newest', 'GLIBC_2.34'))), []);
});

test('a library that a machine need not have is refused by name', () => {
  const found = problems(compileAddon(calling('cublas'), standIn('libcublas.so.12', 'cublas', 'GLIBC_2.4')));
  assert.equal(found.length, 1, found.join('\n'));
  assert.match(found[0] ?? '', /^It needs the library libcublas\.so\.12; /);
});

test('libstdc++ linked statically is refused', () => {
  const addon = compileAddon('', '-static-libstdc++');
  assert.deepEqual(problems(addon), ['It does not need libstdc++.so.6; link libstdc++ dynamically.']);
});

test("a symbol that is Node's own and not Node-API is refused by name", () => {
  assert.deepEqual(problems(compileAddon(calling('uv_run'))), ["It needs symbols that are not Node-API's: uv_run."]);
});

test('an addon that exports more than Node looks up is refused', () => {
  const exports = 'napi_register_module_v1 and node_api_module_get_api_version_v1';
  assert.deepEqual(problems(compileAddon('extern "C" void leaked() {}')), [`It exports more than ${exports}: leaked.`]);
});

test('an addon that was not stripped is refused', () => {
  assert.deepEqual(problems(compile(ADDON, 'addon.node')), ['It is not stripped.']);
});

const HOST = 'node_tensorrt_llm_host';

test('a host program that keeps to the bounds passes', () => {
  assert.deepEqual(problems(compile('int main() {}', HOST, '-s')), []);
});

test('a host program that is as new as the system it was built on is refused, as an addon is', () => {
  const host = compile(
    `${calling('newcomer')} int main() {}`,
    HOST,
    '-s',
    standIn('libm.so.6', 'newcomer', 'GLIBC_2.35'),
  );
  assert.deepEqual(problems(host), ['It needs GLIBC_2.35 for newcomer@GLIBC_2.35; the newest allowed is 2.34.']);
});

test('a host program that exports something, or is not executable, is refused', () => {
  const host = compile('extern "C" void leaked() {} int main() {}', HOST, '-s', '-rdynamic');
  chmodSync(host, 0o644);
  const found = problems(host);
  assert.match(found[0] ?? '', /^It exports something: .*leaked/);
  assert.deepEqual(found.slice(1), ['It is not executable.']);
});

const GUIDANCE = 'libguidance.so';

test("guided output's library needs no libstdc++, and exports what the embedded executors look up", () => {
  writeFileSync(join(dir, 'libguidance.NOTICES.txt'), 'llguidance 1.9.1\n');
  const library = compile('extern "C" void guidance_open() {}', GUIDANCE, '-s', '-nostdlib', '-lc');
  assert.deepEqual(problems(library), []);
});

test("guided output's library is refused without its licences, or where it exports more", () => {
  rmSync(join(dir, 'libguidance.NOTICES.txt'), { force: true });
  const library = compile('extern "C" void leaked() {}', GUIDANCE, '-s', '-nostdlib', '-lc');
  assert.deepEqual(problems(library), [
    'It exports more than guidance_* and llg_*: leaked.',
    'The licences of its crates do not lie beside it.',
  ]);
});
