import { type Costs, Output } from './costs.js';
import {
  type Attributes,
  Callable,
  type Dict,
  Float,
  Iter,
  isTuple,
  Namespace,
  numberOf,
  Parts,
  TemplateError,
  Undefined,
  type Value,
  View,
  WrittenDict,
} from './values.js';

/** The text of a value, as Python's `str` gives it. */
export function str(value: Value, costs: Costs): string {
  if (typeof value === 'string') return value;
  if (value instanceof Parts) return costs.made(value.text());
  if (value instanceof WrittenDict) return costs.made(value.text);
  if (value instanceof Undefined) return '';
  const out = new Output(costs);
  writeRepr(value, out);
  return out.text;
}

export function repr(value: Value, costs: Costs): string {
  const out = new Output(costs);
  writeRepr(value, out);
  return out.text;
}

function writeRepr(value: Value, out: Output): void {
  out.costs.meter.charge(1);
  if (value === null) out.add('None');
  else if (value === true) out.add('True');
  else if (value === false) out.add('False');
  else if (typeof value === 'number') out.add(String(value));
  else if (typeof value === 'string') out.add(quoted(value, out.costs));
  else if (value instanceof Float) out.add(floatText(value.value));
  else if (value instanceof Undefined) out.add('Undefined');
  else if (Array.isArray(value)) {
    const [open, close] = isTuple(value) ? ['(', value.length === 1 ? ',)' : ')'] : ['[', ']'];
    writeAll(value, out, open, close);
  } else if (value instanceof View) writeAll(value.items, out, `${value.name}([`, '])');
  else if (value instanceof Map) writeFields(value, out);
  else if (value instanceof Namespace) {
    out.add('<Namespace ');
    writeFields(value.fields, out);
    out.add('>');
  } else if (value instanceof Callable) throw new TemplateError('a function cannot be written as text');
  else if (value instanceof Iter) throw new TemplateError('a generator cannot be written as text; use the filter list');
  else out.add(`<${(value as Attributes).typeName}>`);
}

function writeAll(items: readonly Value[], out: Output, open: string, close: string): void {
  out.add(open);
  for (const [i, item] of items.entries()) {
    if (i > 0) out.add(', ');
    writeRepr(item, out);
  }
  out.add(close);
}

function writeFields(fields: ReadonlyMap<Value, Value>, out: Output): void {
  let separator = '{';
  for (const [key, item] of fields) {
    out.add(separator);
    writeRepr(key, out);
    out.add(': ');
    writeRepr(item, out);
    separator = ', ';
  }
  out.add(separator === '{' ? '{}' : '}');
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quoted(text: string, costs: Costs): string {
  costs.changed(text.length);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\'"\p{C}]|(?! )\p{Z}/gu, (found) => {
    costs.meter.charge(1 / 4);
    if ((found === '"' || found === "'") && found !== quote) return found;
    if (found === quote) return `\\${found}`;
    const code = found.codePointAt(0) as number;
    const hex = code.toString(16);
    return (
      ESCAPES[found] ??
      (code < 256
        ? `\\x${hex.padStart(2, '0')}`
        : code < 65_536
          ? `\\u${hex.padStart(4, '0')}`
          : `\\U${hex.padStart(8, '0')}`)
    );
  });
  return quote + escaped + quote;
}

/** As Python writes a float: the fewest digits that give it back, with an exponent from 1e16 and below 0.0001. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [digits = '', exponentText = ''] = value.toExponential().split('e');
  const exponent = Number(exponentText);
  if (exponent >= 16 || exponent < -4) {
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const text = exponent < 0 ? value.toFixed(digits.replace(/\D/g, '').length - 1 - exponent) : String(value);
  return text.includes('.') ? text : `${text}.0`;
}

export interface JsonStyle {
  readonly ensureAscii: boolean;
  /** What a level is indented by; undefined for one line. */
  readonly indent: string | undefined;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
}

/** As Python's `json.dumps` writes it. */
export function json(value: Value, style: JsonStyle, costs: Costs): string {
  const writer = new JsonWriter(style, costs);
  writer.write(value, 0);
  return writer.out.text;
}

class JsonWriter {
  readonly out: Output;
  readonly #lines: string[] = []; // what begins a line, by level

  constructor(
    readonly style: JsonStyle,
    readonly costs: Costs,
  ) {
    this.out = new Output(costs);
  }

  write(value: Value, level: number): void {
    this.costs.meter.charge(1);
    if (typeof value === 'string') this.out.add(this.#text(value));
    else if (Array.isArray(value)) this.#list(value, level);
    else if (value instanceof Map) this.#fields(value, level);
    else this.out.add(jsonScalar(value));
  }

  #list(items: readonly Value[], level: number): void {
    const line = this.#line(level + 1);
    let before = `[${line}`;
    for (const item of items) {
      this.out.add(before);
      this.write(item, level + 1);
      before = this.style.itemSeparator + line;
    }
    this.out.add(items.length === 0 ? '[]' : `${this.#line(level)}]`);
  }

  #fields(map: Dict, level: number): void {
    const fields = [...map].map(([key, item]): [string, Value] => [jsonKey(key), item]);
    this.costs.items(fields.length);
    if (this.style.sortKeys) fields.sort(([a], [b]) => compareTexts(a, b, this.costs));
    const line = this.#line(level + 1);
    let before = `{${line}`;
    for (const [key, item] of fields) {
      this.out.add(before);
      this.out.add(this.#text(key));
      this.out.add(this.style.keySeparator);
      this.write(item, level + 1);
      before = this.style.itemSeparator + line;
    }
    this.out.add(fields.length === 0 ? '{}' : `${this.#line(level)}}`);
  }

  #line(level: number): string {
    const { indent } = this.style;
    if (indent === undefined) return '';
    this.#lines[level] ??= `\n${this.costs.repeat(indent, level)}`;
    return this.#lines[level];
  }

  #text(text: string): string {
    this.costs.changed(text.length);
    const quotedText = JSON.stringify(text);
    if (!this.style.ensureAscii) return quotedText;
    this.costs.split(text.length);
    return quotedText.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  }
}

function jsonScalar(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  const number = numberOf(value);
  if (number === undefined) {
    const name = value instanceof Undefined ? 'Undefined' : (value as { typeName?: string }).typeName;
    throw new TemplateError(`Object of type ${name ?? 'function'} is not JSON serializable`);
  }
  if (typeof value === 'number') return String(value);
  return Number.isNaN(number)
    ? 'NaN'
    : Number.isFinite(number)
      ? floatText(number)
      : number > 0
        ? 'Infinity'
        : '-Infinity';
}

const jsonKey = (key: Value): string => (typeof key === 'string' ? key : jsonScalar(key));

/** Negative, 0 or positive, by code points; UTF-16 units have another order. */
export function compareTexts(a: string, b: string, costs: Costs): number {
  costs.meter.charge(Math.min(a.length, b.length) / 256 + 1 / 4);
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  let i = 0;
  while (i < length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i === length) return a.length - b.length;
  const [left, right] = [a.charCodeAt(i), b.charCodeAt(i)];
  const isHigh = (unit: number): boolean => unit >= 0xd800 && unit < 0xe000;
  return isHigh(left) === isHigh(right) ? left - right : isHigh(left) ? 1 : -1;
}
