import { LLMError } from '../base/errors.js';
import type { Meter } from './jinja/costs.js';
import { Callable, Float, TemplateError, typeName, type Value, View } from './jinja/values.js';

const MAX_NESTING = 500;
const STEPS_OF_TEXT = 2;

/** Copies what a caller gave into values of a template, reading each part once. Only own properties count. */
export class TemplateInput {
  constructor(readonly meter: Meter) {}

  /** @throws {LLMError} `ERR_INVALID_INPUT` naming what cannot be in a template. */
  read(input: unknown, name: string): Value {
    return this.#read(input, name, 0);
  }

  readFields(input: object, name: string): Map<string, Value> {
    return this.#readFields(input, name, 0);
  }

  /** A list whose length is charged before it is read. */
  readList(input: readonly unknown[], readItem: (item: unknown, index: number) => Value): Value[] {
    const { length } = input;
    this.meter.charge(length);
    const values: Value[] = [];
    for (let i = 0; i < length; i++) values.push(readItem(Object.hasOwn(input, i) ? input[i] : undefined, i));
    return values;
  }

  #read(input: unknown, name: string, depth: number): Value {
    this.meter.charge(1);
    switch (typeof input) {
      case 'string':
        this.meter.charge(STEPS_OF_TEXT);
        return input;
      case 'number':
        return Number.isSafeInteger(input) ? input : new Float(input);
      case 'boolean':
        return input;
      case 'undefined':
        return null; // as JSON has it; a field of an object is left out
      case 'function':
        return this.callable((...args) => Reflect.apply(input, undefined, args), name);
      case 'object':
        return input === null ? null : this.#readObject(input, name, depth);
      default:
        throw invalid(name, `holds a ${typeof input}`, 'texts, numbers, booleans, null, arrays and objects');
    }
  }

  #readObject(input: object, name: string, depth: number): Value {
    if (depth === MAX_NESTING) {
      throw invalid(name, `is nested deeper than ${MAX_NESTING} levels, or holds itself`, 'plain data');
    }
    if (Array.isArray(input)) return this.readList(input, (item) => this.#read(item, name, depth + 1));
    this.meter.charge(STEPS_OF_TEXT);
    return this.#readFields(input, name, depth) as Map<Value, Value>;
  }

  #readFields(input: object, name: string, depth: number): Map<string, Value> {
    const keys = Object.keys(input);
    this.meter.charge(keys.length);
    const fields = new Map<string, Value>();
    for (const key of keys) {
      const item = (input as Readonly<Record<string, unknown>>)[key];
      if (item !== undefined) fields.set(key, this.#read(item, name, depth + 1));
    }
    return fields;
  }

  /** A function for a template, which gets plain data. */
  callable(call: (...args: readonly unknown[]) => unknown, name: string): Callable {
    return new Callable(name, (args) => this.#read(call(...args.map((arg) => this.#plain(arg))), name, 0));
  }

  #plain(value: Value): unknown {
    this.meter.charge(1);
    if (value === null || typeof value !== 'object') return value;
    if (value instanceof Float) return value.value;
    if (value instanceof View) return value.items.map((item) => this.#plain(item));
    if (Array.isArray(value)) return Array.from(value, (item) => this.#plain(item));
    if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, this.#plain(item)]));
    throw new TemplateError(`a function was given '${typeName(value)}'`);
  }
}

export const invalid = (name: string, found: string, expected: string, cause?: unknown): LLMError =>
  new LLMError('ERR_INVALID_INPUT', `${name} ${found}; expected ${expected}.`, cause === undefined ? {} : { cause });
