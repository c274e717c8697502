import { isUtf8 } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';
import { show } from '../../base/checks.js';
import { LLMError } from '../../base/errors.js';
import { openSource, readExactly } from './source.js';

// Format: POSIX pax interchange format (IEEE Std 1003.1, "pax"), ustar, and GNU's long names and base-256 numbers.

const BLOCK = 512;
/** The largest checkpoints have some ten thousand chunks. */
const MAX_MEMBERS = 200_000;
const MAX_EXTENDED_HEADER_BYTES = 1 << 20;

export interface TarMember {
  /** Position in the archive, and length, in bytes. */
  readonly position: number;
  readonly size: number;
}

/** An open tar archive whose headers have been checked; members are read in place. */
export interface TarArchive {
  readonly path: string;
  readonly handle: FileHandle;
  /** The files, by their names without a leading `./`. */
  readonly members: ReadonlyMap<string, TarMember>;
}

/** Whether this is a header block of a tar archive: its checksum tells. */
export function isTarHeader(block: Uint8Array): boolean {
  if (block.length < BLOCK) return false;
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : (block[i] as number);
  return sum !== 8 * 0x20 && numberIn(block, 148, 8) === sum;
}

/**
 * Indexes an archive; the caller closes `handle`. Links, devices and names that lead out of the archive are refused.
 * @throws {LLMError} `ERR_SOURCE_NOT_FOUND`, or `ERR_SOURCE_INVALID` for what the format or we forbid.
 */
export async function openTar(path: string): Promise<TarArchive> {
  const handle = await openSource(path);
  try {
    return { path, handle, members: await readIndex(handle, path) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

const invalid = (path: string, found: string): LLMError =>
  new LLMError(
    'ERR_SOURCE_INVALID',
    `${path}: ${found}. The archive is damaged or was not made by tar. Copy it again.`,
  );

/** What extended headers say of the next member. */
interface Extended {
  readonly name?: string | undefined;
  readonly size?: number | undefined;
}

async function readIndex(handle: FileHandle, path: string): Promise<Map<string, TarMember>> {
  const { size: archiveSize } = await handle.stat();
  const members = new Map<string, TarMember>();
  let extended: Extended = {};
  let position = 0;
  for (let headers = 0; ; headers++) {
    if (headers > MAX_MEMBERS) throw invalid(path, `the archive has more than ${MAX_MEMBERS} members`);
    if (position + BLOCK > archiveSize) {
      throw invalid(path, `the archive ends at byte ${archiveSize}, without the mark of its end`);
    }
    const block = await readExactly(handle, path, position, BLOCK);
    if (block.every((byte) => byte === 0)) return members;
    if (!isTarHeader(block)) throw invalid(path, `the header at byte ${position} has a wrong checksum`);
    const name = extended.name ?? nameIn(block);
    const size = extended.size ?? numberIn(block, 124, 12);
    if (size === undefined || size > archiveSize - position - BLOCK) {
      throw invalid(
        path,
        size === undefined
          ? `member ${show(name)} has a size that cannot be read`
          : `member ${show(name)} has ${size} bytes, past the archive's end`,
      );
    }
    const member = { position: position + BLOCK, size };
    position += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    const type = String.fromCharCode(block[156] as number);
    if (type === 'x' || type === 'g' || type === 'L') {
      extended = { ...extended, ...(await readExtended(handle, path, type, member)) };
      continue;
    }
    extended = {};
    const clean = cleanName(path, name);
    if (type === '5') continue;
    if (type !== '0' && type !== '\0' && type !== '7') {
      const kind = type === '1' || type === '2' ? 'a link' : `of type ${show(type)}`;
      throw invalid(path, `member ${show(name)} is ${kind}; expected only files and directories`);
    }
    if (members.has(clean)) throw invalid(path, `member ${show(name)} occurs twice`);
    members.set(clean, member);
  }
}

async function readExtended(
  handle: FileHandle,
  path: string,
  type: 'x' | 'g' | 'L',
  { position, size }: TarMember,
): Promise<Extended> {
  if (size > MAX_EXTENDED_HEADER_BYTES) throw invalid(path, `an extended header has ${size} bytes`);
  const bytes = Buffer.from(await readExactly(handle, path, position, size));
  if (!isUtf8(bytes)) throw invalid(path, `the extended header at byte ${position} is not UTF-8`);
  if (type === 'L') return { name: textUpToNul(bytes) };
  const records = paxRecords(path, bytes);
  const sparse = [...records.keys()].find((key) => key.startsWith('GNU.sparse.'));
  if (sparse !== undefined) throw invalid(path, `a member is sparse (${sparse}); expected whole files`);
  const length = records.get('size');
  if (length !== undefined && !/^\d{1,15}$/.test(length))
    throw invalid(path, `an extended header says size ${show(length)}`);
  const name = records.get('path');
  if (type === 'x')
    return { ...(name !== undefined && { name }), ...(length !== undefined && { size: Number(length) }) };
  if (name === undefined && length === undefined) return {};
  throw invalid(path, 'a global extended header gives all members one name or size');
}

/** Records of the form "LENGTH KEY=VALUE\n", LENGTH in bytes and counting itself. */
function paxRecords(path: string, bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(' ', at);
    const digits = space < 0 ? '' : bytes.toString('latin1', at, space);
    const end = at + Number(digits);
    const equals = bytes.indexOf('=', space);
    if (!/^\d{1,7}$/.test(digits) || end > bytes.length || bytes[end - 1] !== 0x0a || equals < 0 || equals >= end) {
      throw invalid(path, 'an extended header has a malformed record');
    }
    records.set(bytes.toString('utf8', space + 1, equals), bytes.toString('utf8', equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** A number in octal digits or, with the highest bit set, in base 256; undefined for anything else, negative or not exact. */
function numberIn(block: Uint8Array, at: number, length: number): number | undefined {
  const field = Buffer.from(block.subarray(at, at + length));
  if (((field[0] as number) & 0x80) === 0) {
    const digits = field
      .toString('latin1')
      .replace(/[\0 ]+$/, '')
      .trimStart();
    return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || '0', 8) : undefined;
  }
  field[0] = (field[0] as number) & 0x7f; // a negative number keeps its sign bit there, and is too large then
  const value = BigInt(`0x${field.toString('hex')}`);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

function nameIn(block: Uint8Array): string {
  const text = (at: number, length: number): string => textUpToNul(Buffer.from(block.subarray(at, at + length)));
  // GNU writes "ustar  " and has other fields where POSIX has the prefix.
  const isPosix = text(257, 6) === 'ustar' && block[263] === 0x30;
  const prefix = isPosix ? text(345, 155) : '';
  return prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`;
}

function textUpToNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

function cleanName(path: string, name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/') || name.includes('\0') || parts.includes('..')) {
    throw invalid(path, `member ${show(name)} leads out of the archive`);
  }
  return parts.join('/');
}
