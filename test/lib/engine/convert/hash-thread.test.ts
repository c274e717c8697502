import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { SLOT_BYTES, SLOTS } from '#lib/engine/convert/hash-ring.js';
import { HashThread } from '#lib/engine/convert/hash-thread.js';

const bytes = randomBytes(SLOTS * SLOT_BYTES * 2 + 12_345);

/** Pieces of these sizes in turn, up to the end. */
function* piecesOf(sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

for (const [what, sizes] of Object.entries({
  'one piece longer than all slots': [bytes.length],
  'pieces of a slot each': [SLOT_BYTES],
  'pieces of odd sizes': [1, SLOT_BYTES - 1, SLOT_BYTES + 1, 77_777, 3 * SLOT_BYTES],
})) {
  test(`${what} have the hash that createHash gives, and may be overwritten at once`, async (t) => {
    const thread = (await HashThread.start()) ?? assert.fail();
    t.after(() => thread.close());
    const hash = createHash('sha256');
    for (const piece of piecesOf(sizes)) {
      hash.update(piece);
      const ours = Uint8Array.from(piece);
      thread.update(ours);
      ours.fill(0);
    }
    thread.update(new Uint8Array(0));
    assert.equal(thread.digest(), hash.digest('hex'));
  });
}

test('nothing has the hash of nothing', async (t) => {
  const thread = (await HashThread.start()) ?? assert.fail();
  t.after(() => thread.close());
  assert.equal(thread.digest(), createHash('sha256').digest('hex'));
});
