import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openTarFiles } from '#lib/engine/formats/source-files.js';
import { isTarHeader, openTar } from '#lib/engine/formats/tar.js';
import { failsWith } from '../../../tools/fails-with.js';
import { temporaryDirectory } from '../helpers.js';
import { base256, longName, paxHeader, type TarMemberSpec, tarBytes, tarHeader } from './tar-bytes.js';

async function read(file: string): Promise<Record<string, string>> {
  const files = await openTarFiles(file);
  const texts: Record<string, string> = {};
  for (const name of files.names) {
    texts[name] = Buffer.from(await files.read(name, 0, await files.size(name))).toString();
  }
  await files.close();
  return texts;
}

const file = (name: string, text = 'text'): TarMemberSpec => ({ name, data: Buffer.from(text) });
const LONG = `${'d'.repeat(120)}/${'f'.repeat(130)}`;

for (const format of ['pax', 'gnu', 'ustar', 'v7']) {
  test(`what GNU tar writes in the format ${format} is read in place`, async (t) => {
    const dir = await temporaryDirectory(t);
    const long = format === 'v7' ? 'short' : format === 'ustar' ? `${'d'.repeat(90)}/${'f'.repeat(90)}` : LONG;
    await mkdir(join(dir, 'in', long, '..'), { recursive: true });
    await writeFile(join(dir, 'in', 'a'), 'A');
    await writeFile(join(dir, 'in', long), 'long');
    await writeFile(join(dir, 'in', 'empty'), '');
    const { status, stderr } = spawnSync('tar', [
      '--format',
      format,
      '-cf',
      join(dir, 'a.tar'),
      '-C',
      join(dir, 'in'),
      '.',
    ]);
    assert.equal(status, 0, String(stderr));
    assert.deepEqual(await read(join(dir, 'a.tar')), { a: 'A', [long]: 'long', empty: '' });
  });
}

test('long names of pax and of GNU, and the prefix of ustar, are whole', async (t) => {
  const path = join(await temporaryDirectory(t), 'a.tar');
  await writeFile(
    path,
    tarBytes([
      paxHeader({ comment: 'nothing' }, 'g'),
      paxHeader({ mtime: '1.5', path: `./${LONG}x` }),
      file('short'),
      longName(`${LONG}y`),
      { ...file('short'), format: 'gnu' },
      { ...file('name'), prefix: 'some/where' },
      { ...file('gnu'), format: 'gnu', prefix: 'not a prefix' },
      { name: './dir/', type: '5' },
    ]),
  );
  const { members, handle } = await openTar(path);
  await handle.close();
  assert.deepEqual([...members.keys()], [`${LONG}x`, `${LONG}y`, 'some/where/name', 'gnu']);
});

test('sizes above 8 GB, in base 256 or from pax, are read', async (t) => {
  const path = join(await temporaryDirectory(t), 'a.tar');
  const size = 9_000_000_512;
  const handle = await open(path, 'w');
  await handle.write(tarHeader({ name: 'big', size: base256(BigInt(size)) }), 0, 512, 0);
  const second = Buffer.concat([
    tarBytes([paxHeader({ size: String(size) })], Buffer.alloc(0)),
    tarHeader({ name: 'bigger' }),
  ]);
  await handle.write(second, 0, second.length, 512 + size);
  await handle.write(tarBytes([file('last')]), 0, undefined, 512 + size + second.length + size);
  await handle.close();
  const files = await openTarFiles(path);
  assert.deepEqual([await files.size('big'), await files.size('bigger')], [size, size]);
  assert.equal(Buffer.from(await files.read('last', 1, 2)).toString(), 'ex');
  await files.close();
  await rm(path);
});

const small = tarBytes([file('a'), file('b')]);
/** What is wrong, the archive, and what the message must name. */
const REFUSED: [string, Buffer, string][] = [
  ['a truncated member', small.subarray(0, 512 + 100), 'a'],
  ['a truncated header', small.subarray(0, 1024 + 100), 'ends at byte 1124'],
  ['no mark of the end', small.subarray(0, 2048), 'ends at byte 2048'],
  ['a wrong checksum', tarBytes([{ ...file('a'), checksum: 1 }]), 'byte 0'],
  ['a negative size', tarBytes([{ name: 'a', size: base256(-512n) }]), '"a"'],
  ['a huge size', tarBytes([{ name: 'a', size: base256(1n << 90n) }]), '"a"'],
  ['a size past the end', tarBytes([{ name: 'a', size: base256(1n << 40n) }]), '"a"'],
  ['a size that is no number', tarBytes([{ name: 'a', size: Buffer.from('12x4\0') }]), '"a"'],
  ['a symbolic link', tarBytes([{ name: 'a', type: '2', link: '/etc/passwd' }]), 'a link'],
  ['a hard link', tarBytes([{ name: 'a', type: '1', link: 'b' }]), 'a link'],
  ['a device', tarBytes([{ name: 'a', type: '3' }]), '"3"'],
  ['a sparse member', tarBytes([{ name: 'a', type: 'S', format: 'gnu' }]), '"S"'],
  ['a sparse member of pax', tarBytes([paxHeader({ 'GNU.sparse.major': '1' }), file('a')]), 'GNU.sparse.major'],
  ['a name with ..', tarBytes([file('a/../../b')]), '"a/../../b"'],
  ['a long name with ..', tarBytes([longName('../b'), file('a')]), '"../b"'],
  ['an absolute name', tarBytes([paxHeader({ path: '/etc/x' }), file('a')]), '"/etc/x"'],
  ['a name that comes twice', tarBytes([file('a'), file('./a')]), 'twice'],
  [
    'a malformed pax record',
    tarBytes([{ name: 'x', type: 'x', data: Buffer.from('99 path=b\n') }, file('a')]),
    'malformed',
  ],
  ['a pax size that is no number', tarBytes([paxHeader({ size: '-1' }), file('a')]), '"-1"'],
  ['one name for all members', tarBytes([paxHeader({ path: 'b' }, 'g'), file('a')]), 'global'],
  ['a pax header of 2 MiB', tarBytes([{ name: 'x', type: 'x', data: Buffer.alloc(2 << 20, 0x20) }]), '2097152'],
];

for (const [what, bytes, named] of REFUSED) {
  test(`an archive with ${what} is refused`, async (t) => {
    const path = join(await temporaryDirectory(t), 'a.tar');
    await writeFile(path, bytes);
    await assert.rejects(openTar(path), failsWith('ERR_SOURCE_INVALID', path, named));
  });
}

test('a block of zeros or of text is no header, a header of any format is one', () => {
  assert.equal(isTarHeader(Buffer.alloc(512)), false);
  assert.equal(isTarHeader(Buffer.alloc(512, 'text')), false);
  assert.equal(isTarHeader(tarHeader(file('a')).subarray(0, 500)), false);
  for (const format of ['posix', 'gnu', 'v7'] as const) assert.ok(isTarHeader(tarHeader({ ...file('a'), format })));
});
