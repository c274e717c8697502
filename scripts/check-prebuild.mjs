// Fails if an addon, its host program, the CUDA executor's library or libguidance.so needs more of a machine than Ubuntu 22.04 and
// RHEL 9 have, or is not fit to be published:
//
//   node scripts/check-prebuild.mjs [FILE ...]      without a FILE, those in prebuilds/linux-x64
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { architecturesIn, LIBRARY, whyNotPublished } from './cuda-library.mjs';

// The newest version of each family: glibc 2.34 and GCC 11 (libstdc++ has two families) are RHEL 9's, which are the older ones.
const NEWEST = { GLIBC: '2.34', GLIBCXX: '3.4.29', CXXABI: '1.3.13', GCC: '7.0.0' };
const LIBSTDCXX = 'libstdc++.so.6';
const LIBRARIES = [
  'libc.so.6',
  'libm.so.6',
  LIBSTDCXX,
  'libgcc_s.so.1',
  'libpthread.so.0',
  'libdl.so.2',
  'ld-linux-x86-64.so.2',
];
const EXPORTS = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];
const LIBRARY_EXPORTS = ['executor_table', 'executor_machine'];
const GUIDANCE = 'libguidance.so';
const GUIDANCE_EXPORTS = /^(guidance|llg)_/; // ours, and llguidance's own
const HOST = 'node_tensorrt_llm_host';

/** One sentence for each thing that is wrong with the shared library or program. */
function problems(file) {
  const read = (what) => execFileSync('readelf', ['--wide', what, file], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  const found = [];

  const libraries = Array.from(read('--dynamic').matchAll(/\(NEEDED\).*\[(.+)\]/g), ([, name]) => name);
  for (const name of libraries.filter((each) => !LIBRARIES.includes(each))) {
    found.push(`It needs the library ${name}; a machine need not have more than ${LIBRARIES.join(', ')}.`);
  }
  // A static copy brings symbols of the build machine's newer glibc, and a second set of C++'s types into the process.
  const isRust = path.basename(file) === GUIDANCE;
  if (!isRust && !libraries.includes(LIBSTDCXX))
    found.push(`It does not need ${LIBSTDCXX}; link libstdc++ dynamically.`);

  // Rows of the symbol table: number, value, size, type, binding, visibility, section, name and version.
  const symbols = Array.from(
    read('--dyn-syms').matchAll(/^ *\d+: (?:\S+ +){3}(GLOBAL|WEAK|UNIQUE) +\S+ +(\S+) (\S+)/gm),
    ([, binding, section, name]) => ({ name, binding, imported: section === 'UND' }),
  );
  const needed = new Set(
    Array.from(read('--version-info').matchAll(/ Name: (\S+) +Flags:/g), ([, version]) => version),
  );
  for (const version of Array.from(needed).filter((each) => !isAllowed(each))) {
    const names = symbols.map(({ name }) => name).filter((name) => name.endsWith(`@${version}`));
    const newest = NEWEST[version.split('_')[0]];
    const bound = newest ? `the newest allowed is ${newest}` : `only ${Object.keys(NEWEST).join(', ')} are known`;
    found.push(`It needs ${version} for ${names.join(', ') || 'the library itself'}; ${bound}.`);
  }
  const unversioned = symbols.filter(({ name }) => !name.includes('@'));
  const imported = unversioned.filter((symbol) => symbol.imported && symbol.binding === 'GLOBAL');
  const exported = unversioned.filter((symbol) => !symbol.imported);
  if (path.basename(file) === HOST) {
    // There is no Node in its process. Its own copies of C++'s templates must not stand in for those of an executor's library.
    if (imported.length > 0) found.push(`It needs symbols that no library has: ${namesOf(imported)}.`);
    if (exported.length > 0) found.push(`It exports something: ${namesOf(exported)}.`);
    if ((statSync(file).mode & 0o111) !== 0o111) found.push('It is not executable.');
  } else if (path.basename(file) === LIBRARY) {
    if (imported.length > 0) found.push(`It needs symbols that no library has: ${namesOf(imported)}.`);
    const further = exported.filter(({ name }) => !LIBRARY_EXPORTS.includes(name));
    if (further.length > 0) found.push(`It exports more than ${LIBRARY_EXPORTS.join(' and ')}: ${namesOf(further)}.`);
    const reason = whyNotPublished(path.dirname(file));
    if (reason !== undefined) found.push(reason);
  } else if (isRust) {
    if (imported.length > 0) found.push(`It needs symbols that no library has: ${namesOf(imported)}.`);
    const further = exported.filter(({ name }) => !GUIDANCE_EXPORTS.test(name));
    if (further.length > 0) found.push(`It exports more than guidance_* and llg_*: ${namesOf(further)}.`);
    if (!existsSync(file.replace(/\.so$/, '.NOTICES.txt')))
      found.push('The licences of its crates do not lie beside it.');
  } else {
    // Node also exports its own OpenSSL, zlib, libuv and V8, which are others in each of its versions.
    const foreign = imported.filter(({ name }) => !/^(napi|node_api)_/.test(name));
    if (foreign.length > 0) found.push(`It needs symbols that are not Node-API's: ${namesOf(foreign)}.`);
    const further = exported.filter(({ name }) => !EXPORTS.includes(name));
    if (further.length > 0) found.push(`It exports more than ${EXPORTS.join(' and ')}: ${namesOf(further)}.`);
  }

  if (/ \.(symtab|debug_\w+) /.test(read('--section-headers'))) found.push('It is not stripped.');
  return found;
}

const namesOf = (symbols) => symbols.map(({ name }) => name).join(', ');

function isAllowed(version) {
  const [family, number = ''] = version.split('_');
  const newest = NEWEST[family];
  return newest !== undefined && /^[\d.]+$/.test(number) && newest.localeCompare(number, 'en', { numeric: true }) >= 0;
}

const prebuilds = path.join(import.meta.dirname, '..', 'prebuilds', 'linux-x64');
const files = process.argv.slice(2);
if (files.length === 0) {
  const names = existsSync(prebuilds) ? readdirSync(prebuilds) : [];
  const addons = names.filter((name) => name.endsWith('.node'));
  if (addons.length === 0 || !names.includes(HOST)) {
    console.error(`${prebuilds} lacks the addon or ${HOST}; make them: npm run prebuildify`);
    process.exitCode = 1;
  } else {
    const libraries = [LIBRARY, GUIDANCE].filter((name) => names.includes(name));
    files.push(...[...addons, HOST, ...libraries].map((name) => path.join(prebuilds, name)));
    if (!libraries.includes(LIBRARY)) console.log(`${prebuilds} holds no CUDA executor; a release has it`);
    if (!libraries.includes(GUIDANCE)) console.log(`${prebuilds} holds no ${GUIDANCE}; a release has it`);
  }
}
for (const file of files) {
  const found = problems(file);
  for (const problem of found) console.error(`${file}: ${problem}`);
  if (found.length > 0) process.exitCode = 1;
  else {
    const code = path.basename(file) === LIBRARY ? `, for ${architecturesIn(file).join(', ')}` : '';
    console.log(`${file} runs on Ubuntu 22.04, RHEL 9 and newer${code}`);
  }
}
