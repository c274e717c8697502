/** A member of a tar archive; `data` may differ in length from what the header says, `size`. */
export interface TarMemberSpec {
  name: string;
  data?: Uint8Array;
  /** One letter; '0' is a file. */
  type?: string;
  /** A field of the header that is given as it stands. */
  size?: Uint8Array;
  link?: string;
  prefix?: string;
  /** 'gnu' writes the magic that GNU tar does, 'v7' none. */
  format?: 'posix' | 'gnu' | 'v7';
  checksum?: number;
}

const BLOCK = 512;

export const tarEnd = (): Buffer => Buffer.alloc(2 * BLOCK);

export function tarBytes(members: readonly TarMemberSpec[], end: Buffer = tarEnd()): Buffer {
  return Buffer.concat([
    ...members.flatMap((member) => [tarHeader(member), padded(member.data ?? Buffer.alloc(0))]),
    end,
  ]);
}

export function tarHeader(spec: TarMemberSpec): Buffer {
  const { name, data = Buffer.alloc(0), type = '0', size, link = '', prefix = '', format = 'posix' } = spec;
  const header = Buffer.alloc(BLOCK);
  header.write(name, 0, 100, 'utf8');
  header.write('0000644\x000001750\x000001750\0', 100, 'latin1');
  header.set(size ?? Buffer.from(`${data.length.toString(8).padStart(11, '0')}\0`), 124);
  header.write('00000000000\0', 136, 'latin1');
  header.write(type, 156, 1, 'latin1');
  header.write(link, 157, 100, 'utf8');
  if (format !== 'v7') header.write(format === 'posix' ? 'ustar\x0000' : 'ustar  \0', 257, 'latin1');
  header.write(prefix, 345, 155, 'utf8');
  header.write(' '.repeat(8), 148, 'latin1');
  const checksum = spec.checksum ?? header.reduce((sum, byte) => sum + byte, 0);
  header.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** A size field in base 256. */
export function base256(value: bigint): Buffer {
  const field = Buffer.from(BigInt.asUintN(96, value).toString(16).padStart(24, '0'), 'hex');
  field[0] = (field[0] as number) | 0x80;
  return field;
}

/** A pax header with these records, for the member after it. */
export function paxHeader(records: Readonly<Record<string, string>>, type: 'x' | 'g' = 'x'): TarMemberSpec {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`);
    const digits = String(rest + String(rest).length).length; // the length counts its own digits
    return `${rest + digits} ${key}=${value}\n`;
  });
  return { name: 'PaxHeader', type, data: Buffer.from(lines.join('')) };
}

export const longName = (name: string): TarMemberSpec => ({
  name: '././@LongLink',
  type: 'L',
  format: 'gnu',
  data: Buffer.from(`${name}\0`),
});

function padded(data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(Math.ceil(data.length / BLOCK) * BLOCK);
  bytes.set(data);
  return bytes;
}
