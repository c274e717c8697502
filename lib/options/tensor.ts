import {
  boundedLength,
  check,
  fail,
  integer,
  invalidOption,
  oneOf,
  ownItem,
  readAs,
  record,
  show,
} from '../base/checks.js';
import type { DataType, Tensor, TensorData } from '../base/types.js';

/** What the addon takes and gives. */
export interface NativeTensor {
  /** The elements. */
  data: TensorData;
  shape: number[];
  /** Its place in DATA_TYPES. */
  dataType: number;
}

/** By the numbers of ExecutorDataType in native/executor/types.h: the name, and the array that holds it. */
export const DATA_TYPES: readonly (readonly [name: DataType, array: { new (length: number): TensorData }])[] = [
  ['float32', Float32Array],
  ['float16', Uint16Array],
  ['bfloat16', Uint16Array],
  ['float8_e4m3', Uint8Array],
  ['int64', BigInt64Array],
  ['int32', Int32Array],
  ['int8', Int8Array],
  ['uint8', Uint8Array],
  ['bool', Uint8Array],
];

const MAX_RANK = 4;

const isData = (value: unknown): value is TensorData => DATA_TYPES.some(([, array]) => value instanceof array);
const isShape = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length >= 1 && value.length <= MAX_RANK;
const size = integer(0, Number.MAX_SAFE_INTEGER);

const parts = record(
  {
    data: check('a Float32Array, Uint16Array, BigInt64Array, Int32Array, Int8Array or Uint8Array', isData),
    shape: readAs(check('an array of one to four sizes', isShape), (sizes, name) =>
      Array.from({ length: boundedLength(sizes, MAX_RANK, name) }, (_, i) => {
        const each = ownItem(sizes, i);
        return size.holds(each) ? each : fail(`${name}[${i}]`, show(each), size);
      }),
    ),
  },
  { dataType: oneOf(DATA_TYPES.map(([name]) => name)) },
);

/** Reads a copy of it. */
export const tensor = {
  ...parts,
  read: (given: Tensor, name: string): NativeTensor => {
    const { data: own, shape, dataType } = parts.read(given, name);
    const [, array] = DATA_TYPES.find(([, each]) => own instanceof each) as (typeof DATA_TYPES)[number];
    const data = new (array as unknown as new (elements: TensorData) => TensorData)(own); // slice() could be the caller's
    const elements = shape.reduce((product, size) => product * size, 1);
    if (elements !== data.length) {
      throw invalidOption(
        `${name}.data`,
        `has ${data.length} elements; expected ${elements}, by its shape, ${shape.join(' x ')}.`,
      );
    }
    const fitting = DATA_TYPES.flatMap(([type, array]) => (data instanceof array ? [type] : []));
    const type = dataType ?? (data instanceof Uint8Array ? 'uint8' : fitting[0]); // no guess: bytes are bytes
    if (!fitting.some((each) => each === type)) {
      throw invalidOption(
        `${name}.dataType`,
        `is '${type}'; expected ${fitting.map((each) => `'${each}'`).join(' or ')} for a ${data.constructor.name}.`,
      );
    }
    return { data, shape, dataType: DATA_TYPES.findIndex(([each]) => each === type) };
  },
};
