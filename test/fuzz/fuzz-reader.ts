// Gives one reader damaged files until the time is up or one breaks a promise: `fuzz-reader.js READER SECONDS SEED DIR`, or
// `fuzz-reader.js READER DIR` to read the files in DIR once. The files of the moment are in DIR, also after a crash.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LLMError } from '#lib/base/errors.js';
import { Random } from './random.js';
import type { Files } from './reader.js';
import { READERS } from './readers.js';

// Far more than files of some 30 kB can need.
const MAX_MS = 5000;
const MAX_GROWTH_MIB = 64;

const [name = '', ...rest] = process.argv.slice(2);
const reader = READERS[name];
if (!reader) throw new Error(`there is no reader ${name}, only ${Object.keys(READERS).join(', ')}`);
const dir = rest.at(-1) ?? '';
const peakKib = (): number => process.resourceUsage().maxRSS;

/** Whether the files were read, and not refused. */
async function isRead(): Promise<boolean> {
  const start = performance.now();
  const peak = peakKib();
  let refused: unknown;
  try {
    await reader?.read(dir);
  } catch (error) {
    if (!LLMError.is(error)) throw error;
    if (!reader?.codes.includes(error.code)) throw new Error(`${error.code} is not documented`, { cause: error });
    refused = error;
  }
  const ms = performance.now() - start;
  if (ms > MAX_MS) throw new Error(`reading took ${ms.toFixed()} ms`);
  const growth = peakKib() - peak;
  if (growth >> 10 > (reader?.maxGrowthMiB ?? MAX_GROWTH_MIB))
    throw new Error(`reading took ${growth >> 10} MiB more than anything before it`);
  return refused === undefined;
}

let written: Files = {};
function write(files: Files): void {
  for (const file of Object.keys(written)) if (!files[file]) rmSync(join(dir, file));
  for (const [file, bytes] of Object.entries(files)) {
    if (written[file] !== bytes) writeFileSync(join(dir, file), bytes);
  }
  written = files;
}

if (rest.length === 1) {
  console.log((await isRead()) ? 'read' : 'refused with a documented code');
} else {
  const [seconds, seed] = rest.map(Number) as [number, number];
  const random = new Random(seed);
  const { valid, damaged } = await reader.prepare();
  mkdirSync(dir, { recursive: true });
  write(valid);
  if (!(await isRead())) throw new Error('the valid files are refused');
  let executions = 0;
  let read = 0;
  for (const start = performance.now(); performance.now() - start < seconds * 1000; executions++) {
    write(damaged(random));
    if (await isRead()) read++;
  }
  console.log(JSON.stringify({ executions, read }));
}
