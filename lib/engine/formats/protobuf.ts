/** A field of a message in protobuf's wire format: a number, or the bytes of a string, of bytes or of a message. */
export interface ProtoField {
  readonly number: number;
  /** Of a varint or a float. */
  readonly value: number;
  /** Empty where it is a number. */
  readonly bytes: Uint8Array;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const NONE = new Uint8Array();

/**
 * Reads the fields of a message one after another.
 * @param refuse makes the error for a message that is cut off, or none; `at` is the byte where that shows.
 */
export function* readFields(message: Uint8Array, refuse: (at: number) => Error): Generator<ProtoField, void> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw refuse(at);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, value));
    }
    throw refuse(at);
  };
  const skip = (length: number): number => {
    if (length < 0 || length > message.length - at) throw refuse(at);
    at += length;
    return at - length;
  };
  while (at < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    if (number < 1) throw refuse(at);
    switch (tag % 8) {
      case VARINT:
        yield { number, value: varint(), bytes: NONE };
        break;
      case FIXED64:
        skip(8);
        break;
      case BYTES: {
        const length = varint();
        const begin = skip(length);
        yield { number, value: 0, bytes: message.subarray(begin, begin + length) };
        break;
      }
      case FIXED32:
        yield { number, value: view.getFloat32(skip(4), true), bytes: NONE };
        break;
      default:
        throw refuse(at);
    }
  }
}
