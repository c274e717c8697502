import type { Costs } from './costs.js';

/** What is wrong with a template, or what it does with its input; the message is that of Python where there is one. */
export class TemplateError extends Error {}

/** A value while a template runs: Python's, in the JavaScript that is nearest. A whole number is an int. */
export type Value =
  | null
  | boolean
  | number
  | string
  | Float
  | Undefined
  | Value[]
  | Dict
  | View
  | Iter
  | Callable
  | Attributes;

/** A key is a text, a number, a boolean or null. */
export type Dict = Map<Value, Value>;

export class Float {
  constructor(readonly value: number) {}
}

/** What a name, a field or an item that is not there gives. It is empty text, but nothing can be read from it. */
export class Undefined {
  constructor(readonly hint: string) {}
}

export class Tuple extends Array<Value> {}

export function tupleOf(...items: readonly Value[]): Tuple {
  const tuple = new Tuple();
  for (const item of items) tuple.push(item);
  return tuple;
}

/** A list that is a text where only a text will do: added to one, written, or by a method that texts have. */
export class Parts extends Array<Value> {
  constructor(
    items: readonly Value[],
    readonly text: () => string,
  ) {
    super();
    for (const item of items) this.push(item);
  }

  static override get [Symbol.species](): ArrayConstructor {
    return Array; // what is cut from it is a list
  }
}

/** A dictionary that is the text it was read from where only a text will do: added to one, or written. */
export class WrittenDict extends Map<Value, Value> {
  constructor(
    fields: Dict,
    readonly text: string,
  ) {
    super(fields);
  }
}

/** What a dictionary's `items()`, `keys()` and `values()` give. */
export class View {
  constructor(
    readonly name: string,
    readonly items: Value[],
  ) {}
}

/** Can be walked through once. */
export class Iter {
  constructor(readonly iterator: Iterator<Value>) {}
}

export type Named = ReadonlyMap<string, Value>;

export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: readonly Value[], named: Named) => Value,
  ) {}
}

/** An object of which a template reads attributes. */
export abstract class Attributes {
  abstract readonly typeName: string;
  abstract attribute(name: string): Value | undefined;
}

export class Namespace extends Attributes {
  readonly typeName = 'Namespace';
  constructor(readonly fields: Map<string, Value>) {
    super();
  }
  attribute(name: string): Value | undefined {
    return this.fields.get(name);
  }
}

export const isTuple = (value: Value): value is Tuple => value instanceof Tuple;

export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return 'int';
  if (value instanceof Float) return 'float';
  if (Array.isArray(value)) return isTuple(value) ? 'tuple' : 'list';
  if (value instanceof Map) return 'dict';
  if (value instanceof View) return value.name;
  if (value instanceof Iter) return 'generator';
  if (value instanceof Undefined) return 'Undefined';
  return value instanceof Callable ? 'function' : value.typeName;
}

export const isTrue = (value: Value): boolean => {
  if (value === null || value === false || value === 0 || value === '' || value instanceof Undefined) return false;
  if (value instanceof Float) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return !(value instanceof View) || value.items.length > 0;
};

/** The number that an int, a float or a boolean is. */
export const numberOf = (value: Value): number | undefined => {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : undefined;
};

/** A whole number; Python's are of any size. */
export function int(value: number): number {
  if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  throw new TemplateError(`a whole number becomes ${value}; expected one within 2^53`);
}

export const toInt = (value: Value, what: string): number => {
  if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
  throw new TemplateError(`${what} is '${typeName(value)}'; expected an int`);
};

/** Throws what reading from an undefined value throws. */
export const defined = (value: Value): Value => {
  if (value instanceof Undefined) throw new TemplateError(value.hint);
  return value;
};

export function checkKey(key: Value): Value {
  if (key instanceof Float) return Number.isSafeInteger(key.value) ? key.value : key;
  if (key === null || typeof key !== 'object') return key;
  throw new TemplateError(`unhashable type: '${typeName(key)}'`);
}

/** The items that a loop over the value sees. Each is charged. */
export function* iterate(value: Value, costs: Costs): Generator<Value> {
  for (const item of iterableOf(value, costs)) {
    costs.items(1);
    yield item;
  }
}

function iterableOf(value: Value, costs: Costs): Iterable<Value> {
  if (typeof value === 'string') return splitCharacters(value, costs);
  if (Array.isArray(value)) return value;
  if (value instanceof Map) return value.keys();
  if (value instanceof View) return value.items;
  if (value instanceof Iter) return { [Symbol.iterator]: () => value.iterator };
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

export const toList = (value: Value, costs: Costs): Value[] => [...iterate(value, costs)];

export function splitCharacters(text: string, costs: Costs): string[] {
  costs.split(text.length);
  return [...text];
}

const SURROGATES = /[\ud800-\udfff]/;
/** Whether an index into the text is one in UTF-16 units too. */
const isPlain = (text: string): boolean => !SURROGATES.test(text);

export function lengthOf(value: Value, costs: Costs): number {
  if (typeof value === 'string') {
    costs.scanned(value.length);
    if (isPlain(value)) return value.length;
    let length = 0;
    for (const _ of value) length++;
    return length;
  }
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (value instanceof View) return value.items.length;
  if (value instanceof Undefined) return 0;
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}

/** The item at an index, which counts from the end where it is negative; undefined if there is none. */
export function itemAt(value: string | Value[], index: number, costs: Costs): Value | undefined {
  if (Array.isArray(value)) return value.at(index);
  costs.scanned(value.length);
  if (isPlain(value)) return value.at(index);
  return splitCharacters(value, costs).at(index);
}

export function slice(
  value: string | Value[],
  [start, stop, step]: readonly (number | null)[],
  costs: Costs,
): string | Value[] {
  if (step === 0) throw new TemplateError('slice step cannot be zero');
  costs.scanned(value.length);
  if ((step ?? 1) === 1 && (Array.isArray(value) || isPlain(value))) {
    if (Array.isArray(value)) costs.items(value.length);
    const end = stop ?? value.length;
    return value.slice(start ?? 0, end);
  }
  const items = Array.isArray(value) ? value : splitCharacters(value, costs);
  const picked: Value[] = isTuple(value as Value) ? new Tuple() : [];
  const by = step ?? 1;
  const [low, high] = by > 0 ? [0, items.length] : [-1, items.length - 1];
  const clamp = (at: number | null | undefined, standard: number): number =>
    at === null || at === undefined ? standard : Math.min(Math.max(at < 0 ? at + items.length : at, low), high);
  const end = clamp(stop, by > 0 ? high : low);
  for (let i = clamp(start, by > 0 ? low : high); by > 0 ? i < end : i > end; i += by) {
    costs.items(1);
    picked.push(items[i] as Value);
  }
  return Array.isArray(value) ? picked : costs.made(picked.join(''));
}
