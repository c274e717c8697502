import { Environment } from '@huggingface/jinja';
import { LLMError } from '../base/errors.js';
import type { TemplateMeter } from './template-meter.js';

/** A value while a template runs. */
export interface Value {
  readonly type: string;
  readonly value: unknown;
  toString(): string;
}

type Call = (args: readonly Value[], scope: Environment) => Value;

/** The library exports no class of its values; each shows at a value that it made. */
const classOf = <T>(sample: unknown): (new (value: T) => Value & { value: T }) =>
  new Environment().set('sample', sample).constructor as never;

export const StringValue = classOf<string>('');
export const IntegerValue = classOf<number>(0);
const FloatValue = classOf<number>(0.5);
const BooleanValue = classOf<boolean>(true);
const NullValue = classOf<null>(null);
export const UndefinedValue = classOf<undefined>(undefined);
export const ArrayValue = classOf<Value[]>([]);
export const ObjectValue = classOf<Map<string, Value>>({});
export const FunctionValue = classOf<Call>(() => null);

const MAX_NESTING = 500;
const STEPS_OF_OBJECT = 2; // the library makes functions for every object and text

/** Copies what a caller gave into values of a template, reading each part once. Only own properties count. */
export class TemplateInput {
  constructor(readonly meter: TemplateMeter) {}

  /** @throws {LLMError} `ERR_INVALID_INPUT` naming what cannot be in a template. */
  read(input: unknown, name: string): Value {
    return this.#read(input, name, 0);
  }

  readFields(input: object, name: string): ReadonlyMap<string, Value> {
    return this.#readFields(input, name, 0);
  }

  /** A list whose length is charged before it is read. */
  readList(input: readonly unknown[], readItem: (item: unknown, index: number) => Value): Value {
    const { length } = input;
    this.meter.charge(length);
    const values: Value[] = [];
    for (let i = 0; i < length; i++) values.push(readItem(Object.hasOwn(input, i) ? input[i] : undefined, i));
    return new ArrayValue(values);
  }

  #read(input: unknown, name: string, depth: number): Value {
    this.meter.charge(1);
    switch (typeof input) {
      case 'string':
        this.meter.charge(STEPS_OF_OBJECT);
        return new StringValue(input);
      case 'number':
        return Number.isInteger(input) ? new IntegerValue(input) : new FloatValue(input);
      case 'boolean':
        return new BooleanValue(input);
      case 'undefined':
        return new UndefinedValue(input);
      case 'function':
        return this.callable((...args) => Reflect.apply(input, undefined, args), name);
      case 'object':
        return input === null ? new NullValue(input) : this.#readObject(input, name, depth);
      default:
        throw invalid(name, `holds a ${typeof input}`, 'texts, numbers, booleans, null, arrays and objects');
    }
  }

  #readObject(input: object, name: string, depth: number): Value {
    if (depth === MAX_NESTING) {
      throw invalid(name, `is nested deeper than ${MAX_NESTING} levels, or holds itself`, 'plain data');
    }
    if (Array.isArray(input)) return this.readList(input, (item) => this.#read(item, name, depth + 1));
    this.meter.charge(STEPS_OF_OBJECT);
    return new ObjectValue(this.#readFields(input, name, depth));
  }

  #readFields(input: object, name: string, depth: number): Map<string, Value> {
    const keys = Object.keys(input);
    this.meter.charge(keys.length);
    const fields = new Map<string, Value>();
    for (const key of keys) {
      fields.set(key, this.#read((input as Readonly<Record<string, unknown>>)[key], name, depth + 1));
    }
    return fields;
  }

  /** A function for a template, which gives it its arguments as the library does: texts and numbers as they are. */
  callable(call: (...args: readonly unknown[]) => unknown, name: string): Value {
    return new FunctionValue((args) => this.#read(call(...args.map(({ value }) => value)) ?? null, name, 0));
  }
}

export const invalid = (name: string, found: string, expected: string, cause?: unknown): LLMError =>
  new LLMError('ERR_INVALID_INPUT', `${name} ${found}; expected ${expected}.`, cause === undefined ? {} : { cause });
