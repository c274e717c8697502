// What libexecutor_cuda.so holds, and taking it along into prebuilds: `node scripts/cuda-library.mjs FROM TO`, two folders. Only a
// library with every architecture of SHIPPED and the notices of what is compiled into it is taken along; it is stripped on the way.
// CI packs without it. A release has it: npm run build:cuda -- --wheels.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const LIBRARY = 'libexecutor_cuda.so';
export const NOTICES = 'libexecutor_cuda.NOTICES.txt';

// Machine code for what each generation has; 90-virtual is PTX, which the driver compiles for newer GPUs.
export const SHIPPED = ['75', '80', '86', '89', '90a', '90-virtual'];

const KINDS = { 1: 'compute', 2: 'sm' };

/** Names like sm_80 and compute_90, sorted, of the machine code and PTX that nvcc put into the library's .nv_fatbin. */
export function architecturesIn(library) {
  const bytes = readFileSync(library);
  const found = new Set();
  // A fatbin: magic, u16 version, u16 bytes of this header, u64 bytes of the entries. An entry: u16 kind, u16, u32 bytes of its
  // header, u64 bytes after it, u32, u16, u16, u32 architecture, among others.
  const magic = Buffer.from([0x50, 0xed, 0x55, 0xba]);
  for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 1)) {
    if (at + 16 > bytes.length) break;
    let entry = at + bytes.readUInt16LE(at + 6);
    const end = Math.min(entry + Number(bytes.readBigUInt64LE(at + 8)), bytes.length - 32);
    while (entry < end) {
      const kind = KINDS[bytes.readUInt16LE(entry)];
      if (kind === undefined) break; // the magic was not a fatbin's
      found.add(`${kind}_${bytes.readUInt32LE(entry + 28)}`);
      entry += bytes.readUInt32LE(entry + 4) + Number(bytes.readBigUInt64LE(entry + 8));
    }
  }
  return [...found].sort();
}

/** What SHIPPED is in architecturesIn: 90a is sm_90 there. */
const shippedNames = SHIPPED.map((each) =>
  each.endsWith('-virtual') ? `compute_${each.replace('-virtual', '')}` : `sm_${Number.parseInt(each, 10)}`,
);

/** Why the library in the folder cannot be published; undefined if it can. */
export function whyNotPublished(dir) {
  const library = path.join(dir, LIBRARY);
  const build = 'npm run build:cuda -- --wheels';
  if (!existsSync(library)) return `${library} does not exist. To publish it, build it: ${build}`;
  const found = architecturesIn(library);
  const missing = shippedNames.filter((name) => !found.includes(name));
  if (missing.length > 0)
    return `${library} holds ${found.join(', ') || 'no machine code'} and lacks ${missing.join(', ')}. To publish it, build it: ${build}`;
  if (!existsSync(path.join(dir, NOTICES)))
    return `${path.join(dir, NOTICES)} does not exist: the library was built with this machine's CUDA. To publish it, build it: ${build}`;
  return undefined;
}

if (process.argv[1] === import.meta.filename) {
  const [from = '', to = ''] = process.argv.slice(2);
  const reason = whyNotPublished(from);
  if (reason !== undefined) {
    console.log(`The CUDA executor is left out: ${reason}`);
  } else {
    const { status, error } = spawnSync('strip', ['-o', path.join(to, LIBRARY), path.join(from, LIBRARY)], {
      stdio: 'inherit',
    });
    if (error) console.error(`strip could not be run: ${error.message}`);
    if (status !== 0) process.exit(status ?? 1);
    copyFileSync(path.join(from, NOTICES), path.join(to, NOTICES));
  }
}
