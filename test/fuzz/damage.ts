import type { GgufInput, GgufTensorInput } from '../lib/engine/formats/gguf-bytes.js';
import { safetensorsBytes } from '../lib/engine/helpers.js';
import type { Random } from './random.js';

const INTEGERS = [0, 1, 7, 255, 2 ** 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 40, 2 ** 53 - 1, 2 ** 53];
const NAMES = ['__proto__', 'constructor', 'length', '', 'x', 'rope_type', 'shape', 'vocab', '__metadata__'];

/** Stand in a value for what JSON.stringify cannot write. */
const RAW: Readonly<Record<string, string>> = {
  '"@deep@"': `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
  '"@deep object@"': `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`,
  '"@infinity@"': '1e999',
};

const jsonValue = (random: Random): unknown =>
  random.pick<() => unknown>([
    () => random.pick(INTEGERS),
    () => -random.pick(INTEGERS),
    () => random.pick([null, true, false, 0.5, -1.5, 1e308, 5e-324]),
    () => random.pick(['', 'x', 'default', 'linear', 'llama3', 'Fuse', 'Strip', '\ud800', 'é'.repeat(1000)]),
    () => random.pick<unknown>([[], {}, [1, 2], [[]], { type: 'Sequence', decoders: [] }]),
    () => random.pick(Object.keys(RAW)).slice(1, -1),
  ])();

/** A JSON text with one to three of its values or names changed; what is no JSON gets other bytes. */
function damageJson(text: string, random: Random): Buffer {
  let root: { json: unknown };
  try {
    root = { json: JSON.parse(text) };
  } catch {
    return damageBytes(Buffer.from(text), random);
  }
  for (let left = 1 + random.below(3); left > 0; left--) {
    const [owner, name] = pickSlot(root, random);
    const [otherOwner, otherName] = pickSlot(root, random);
    random.pick<() => unknown>([
      () => put(owner, name, jsonValue(random)),
      () => put(owner, name, structuredClone(otherOwner[otherName])),
      () => owner !== root && delete owner[name],
      () => owner !== root && !Array.isArray(owner) && put(owner, random.pick(NAMES), owner[name]),
    ])();
  }
  const json = JSON.stringify(root.json);
  return Buffer.from(Object.entries(RAW).reduce((out, [mark, raw]) => out.replaceAll(mark, raw), json));
}

/** An assignment that makes a field of `__proto__` too, as JSON.parse does. */
const put = (owner: object, name: string, value: unknown): unknown =>
  Object.defineProperty(owner, name, { value, enumerable: true, configurable: true, writable: true });

/** A value, as who holds it and under which name: found from the root down, so that long lists are not all there is. */
function pickSlot(root: { json: unknown }, random: Random): [owner: Record<string, unknown>, name: string] {
  let owner: Record<string, unknown> = root;
  let name = 'json';
  for (let value = owner[name]; typeof value === 'object' && value !== null; value = owner[name]) {
    const names = Object.keys(value);
    if (names.length === 0 || random.oneIn(5)) break;
    owner = value as Record<string, unknown>;
    name = random.pick(names);
  }
  return [owner, name];
}

/** Bytes flipped, changed, cut out, put in or cut off; numbers of 4 and 8 bytes set to what breaks sums. */
export function damageBytes(bytes: Buffer, random: Random): Buffer {
  let damaged = Buffer.from(bytes);
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(damaged.length + 1);
    const end = Math.min(damaged.length, at + 1 + random.below(16));
    damaged = random.pick([
      () => {
        const flipped = Buffer.from(damaged);
        if (at < flipped.length) flipped[at] = (flipped[at] as number) ^ (1 << random.below(8));
        return flipped;
      },
      () => Buffer.concat([damaged.subarray(0, at), damaged.subarray(end)]),
      () => Buffer.concat([damaged.subarray(0, end), damaged.subarray(at)]),
      () => damaged.subarray(0, at),
      () => {
        const number = Buffer.alloc(8);
        number.writeBigUInt64LE(BigInt.asUintN(64, BigInt(random.pick(INTEGERS)) - BigInt(random.below(2))));
        const size = random.pick([1, 4, 8]);
        return Buffer.concat([damaged.subarray(0, at), number.subarray(0, size), damaged.subarray(at + size)]);
      },
    ])();
  }
  return damaged;
}

/** A file damaged by what its name says it is. */
export function damageFile(name: string, bytes: Buffer, random: Random): Buffer {
  if (random.oneIn(4)) return damageBytes(bytes, random);
  if (name.endsWith('.json')) return damageJson(bytes.toString(), random);
  if (!name.endsWith('.safetensors')) return damageBytes(bytes, random);
  const header = 8 + Number(bytes.readBigUInt64LE());
  const json = damageJson(bytes.toString('utf8', 8, header), random);
  return Buffer.concat([safetensorsBytes(json.toString(), 0), bytes.subarray(header)]);
}

const ggufValue = (random: Random): GgufInput =>
  random.pick<() => GgufInput>([
    () => ({ u32: random.pick(INTEGERS.filter((value) => value < 2 ** 32)) }),
    () => ({ u64: BigInt(random.pick(INTEGERS)) }),
    () => random.pick([Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 1e-45, 0.3]),
    () => random.pick(['', 'llama', 'gpt2', 'linear', '\u0000']),
    () => random.pick([true, false]),
    () => random.pick([[], ['a'], ['a', 'a'], ['a b', 'b a']]),
    () => Int32Array.from({ length: random.below(6) }, () => random.below(8) - 1),
  ])();

export interface GgufContents {
  metadata: Record<string, GgufInput>;
  tensors: GgufTensorInput[];
}

/** One to three fields of the metadata or the tensors changed. */
export function damageGguf({ metadata, tensors }: GgufContents, random: Random): GgufContents {
  const damaged = { metadata: { ...metadata }, tensors: tensors.map((tensor) => ({ ...tensor })) };
  for (let left = 1 + random.below(3); left > 0; left--) {
    const key = random.pick(Object.keys(metadata));
    const tensor = random.pick(damaged.tensors);
    random.pick<() => unknown>([
      () => delete damaged.metadata[key],
      () => Object.assign(damaged.metadata, { [key]: ggufValue(random) }),
      () => Object.assign(damaged.metadata, { [random.pick(NAMES)]: ggufValue(random) }),
      () =>
        Object.assign(tensor, { shape: tensor.shape.with(random.below(tensor.shape.length), random.pick(INTEGERS)) }),
      () => Object.assign(tensor, { shape: [...tensor.shape, random.pick(INTEGERS)] }),
      () => Object.assign(tensor, { type: random.below(40) }),
      () => Object.assign(tensor, { offset: random.pick(INTEGERS) }),
      () => Object.assign(tensor, { name: random.pick(tensors).name }),
      () => Object.assign(tensor, { data: tensor.data.subarray(random.below(tensor.data.length)) }),
    ])();
  }
  return damaged;
}
