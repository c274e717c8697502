export const SLOTS = 16;
export const SLOT_BYTES = 1 << 18;
const DIGEST_BYTES = 32;

// The counters: pieces given, and 1 more at the end; pieces hashed; at the end, set before that 1, how many pieces there are, and 1;
// whether the digest is there. Then the length of the piece in each slot. They hold 2^31 pieces, 560 TB.
export const GIVEN = 0;
export const HASHED = 1;
export const ENDS = 2;
export const DONE = 3;
const LENGTHS = 4;

/** Memory that a thread which gives bytes shares with one that hashes them: pieces in slots, used in turn. */
export class HashRing {
  readonly counters: Int32Array;
  readonly digest: Uint8Array;
  readonly #slots: Uint8Array;

  constructor(readonly memory = new SharedArrayBuffer((LENGTHS + SLOTS) * 4 + DIGEST_BYTES + SLOTS * SLOT_BYTES)) {
    this.counters = new Int32Array(memory, 0, LENGTHS + SLOTS);
    this.digest = new Uint8Array(memory, this.counters.byteLength, DIGEST_BYTES);
    this.#slots = new Uint8Array(memory, this.counters.byteLength + DIGEST_BYTES);
  }

  fill(piece: number, bytes: Uint8Array): void {
    const slot = piece % SLOTS;
    this.#slots.set(bytes, slot * SLOT_BYTES);
    this.counters[LENGTHS + slot] = bytes.length;
  }

  piece(piece: number): Uint8Array {
    const slot = piece % SLOTS;
    return this.#slots.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + (this.counters[LENGTHS + slot] ?? 0));
  }
}
