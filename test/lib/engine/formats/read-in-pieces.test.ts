import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type FilePlace, readInPieces } from '#lib/engine/formats/source.js';
import { failsWith } from '../../../tools/fails-with.js';
import { temporaryDirectory } from '../helpers.js';

const PIECE_BYTES = 1 << 18;

for (const [what, rowBytes] of Object.entries({
  'shorter than a piece': 1000,
  'as long as a piece': PIECE_BYTES,
  'longer than a piece': PIECE_BYTES + 24,
})) {
  test(`columns of rows that are ${what} are read`, async (t) => {
    const file = join(await temporaryDirectory(t), 'file');
    const rows = Math.ceil((3 * PIECE_BYTES) / rowBytes) + 1;
    const bytes = randomBytes(8 + rows * rowBytes);
    await writeFile(file, bytes);
    const handle = await open(file);
    t.after(() => handle.close());
    const place: FilePlace = { handle, file, position: 8, bytes: rows * rowBytes };
    const read = (columns?: FilePlace['columns']): Buffer => {
      const pieces: Uint8Array[] = [];
      readInPieces({ ...place, ...(columns && { columns }) }, (piece) => pieces.push(piece.slice()));
      return Buffer.concat(pieces);
    };
    assert.deepEqual(read(), bytes.subarray(8));
    const parts = Array.from({ length: rows }, (_, row) =>
      bytes.subarray(8 + row * rowBytes + 100, 8 + row * rowBytes + 350),
    );
    assert.deepEqual(read({ rowBytes, first: 100, bytes: 250 }), Buffer.concat(parts));
    const short = { ...place, bytes: place.bytes + rowBytes };
    assert.throws(() => readInPieces(short, () => {}), failsWith('ERR_SOURCE_INVALID', 'became shorter'));
  });
}
