// Builds libguidance.so, which guided output needs, into build/Release with cargo: `npm run build:guidance`. --out DIR puts it
// elsewhere. The licences of what is compiled in are written beside it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const root = path.join(import.meta.dirname, '..');
const { values } = parseArgs({ options: { out: { type: 'string', default: path.join(root, 'build', 'Release') } } });
const manifest = ['--manifest-path', path.join(root, 'native', 'guidance', 'Cargo.toml'), '--locked'];
const target = path.join(root, 'build', 'guidance');

function cargo(args, stdio) {
  const { status, stdout, error } = spawnSync('cargo', args, {
    cwd: root,
    stdio,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (error) console.error(`cargo could not be run: ${error.message}. Install Rust 1.87 or newer (https://rustup.rs).`);
  if (status !== 0) process.exit(status ?? 1);
  return stdout;
}

/** The texts of the licences in a crate's folder. */
function licencesOf({ name, version, license, manifest_path: file }) {
  const dir = path.dirname(file);
  const files = readdirSync(dir).filter((each) => /^(licen[cs]e|copying|notice)/i.test(each));
  const texts = files.map((each) => readFileSync(path.join(dir, each), 'utf8').trim());
  return [`${name} ${version} (${license})`, ...texts].join('\n\n');
}

cargo(['build', '--release', ...manifest, '--target-dir', target], 'inherit');
const { packages } = JSON.parse(
  cargo(['metadata', '--format-version', '1', '--filter-platform', 'x86_64-unknown-linux-gnu', ...manifest], 'pipe'),
);
mkdirSync(values.out, { recursive: true });
copyFileSync(path.join(target, 'release', 'libguidance.so'), path.join(values.out, 'libguidance.so'));
const crates = packages.filter(({ source }) => source !== null);
writeFileSync(
  path.join(values.out, 'libguidance.NOTICES.txt'),
  `libguidance.so contains these crates.\n\n${crates.map(licencesOf).join(`\n\n${'-'.repeat(80)}\n\n`)}\n`,
);
