import { bind, given } from './arguments.js';
import type { Filter, FilterTable, Runtime, VariadicFilter } from './filter.js';
import { fixed, formatPercent } from './format.js';
import { LIST_FILTERS, VARIADIC_FILTERS } from './list-filters.js';
import { applyStringMethod, linesOf } from './string-methods.js';
import {
  Float,
  int,
  isTrue,
  lengthOf,
  type Named,
  numberOf,
  TemplateError,
  toInt,
  tupleOf,
  typeName,
  Undefined,
  type Value,
} from './values.js';
import { json, str } from './write.js';

const onText =
  (method: string): Filter =>
  ({ costs }, value, args) =>
    applyStringMethod(
      str(value, costs),
      method,
      args.filter((arg) => arg !== undefined),
      new Map(),
      costs,
    );

const standard: Filter = (_runtime, value, [fallback = '', boolean = false]) =>
  value instanceof Undefined || (isTrue(boolean) && !isTrue(value)) ? fallback : value;

const length: Filter = ({ costs }, value) => lengthOf(value, costs);

const HTML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' };
const escapeHtml: Filter = ({ costs }, value) => {
  const text = str(value, costs);
  costs.split(text.length);
  return costs.made(text.replace(/[&<>'"]/g, (character) => HTML[character] as string));
};

const FILTERS: FilterTable = {
  __proto__: null as never,
  ...LIST_FILTERS,
  abs: [[], (_runtime, value) => mapNumber(value, Math.abs)],
  attr: [
    ['name'],
    (runtime, value, [name]) => runtime.getAttribute(value, str(given('attr', 'name', name), runtime.costs)),
  ],
  capitalize: [[], onText('capitalize')],
  center: [['width'], (runtime, value, [width = 80]) => onText('center')(runtime, value, [width])],
  count: [[], length],
  d: [['default_value', 'boolean'], standard],
  default: [['default_value', 'boolean'], standard],
  e: [[], escapeHtml],
  escape: [[], escapeHtml],
  float: [['default'], toFloat],
  forceescape: [[], escapeHtml],
  indent: [['width', 'first', 'blank'], indent],
  int: [['default', 'base'], toInteger],
  length: [[], length],
  lower: [[], onText('lower')],
  replace: [['old', 'new', 'count'], replace],
  round: [['precision', 'method'], round],
  safe: [[], ({ costs }, value) => str(value, costs)],
  string: [[], ({ costs }, value) => str(value, costs)],
  title: [[], title],
  tojson: [['ensure_ascii', 'indent', 'separators', 'sort_keys'], toJson],
  trim: [['chars'], (runtime, value, [chars]) => onText('strip')(runtime, value, [chars ?? undefined])],
  truncate: [['length', 'killwords', 'end', 'leeway'], truncate],
  upper: [[], onText('upper')],
  urlencode: [[], urlEncode],
  wordcount: [[], wordCount],
};

const VARIADIC: Readonly<Record<string, VariadicFilter>> = {
  __proto__: null as never,
  ...VARIADIC_FILTERS,
  format: ({ costs }, value, args, named) =>
    formatPercent(str(value, costs), named.size > 0 ? new Map<Value, Value>(named) : tupleOf(...args), costs),
};

export function applyFilter(runtime: Runtime, name: string, value: Value, args: readonly Value[], named: Named): Value {
  const variadic = VARIADIC[name];
  if (variadic) return variadic(runtime, value, args, named);
  const found = FILTERS[name];
  if (!found) throw new TemplateError(`no filter named '${name}'`);
  const [parameters, filter] = found;
  return filter(runtime, value, bind(name, parameters, args, named));
}

function mapNumber(value: Value, change: (number: number) => number): Value {
  const number = numberOf(value);
  if (number === undefined) throw new TemplateError(`a filter of numbers was given '${typeName(value)}'`);
  return value instanceof Float ? new Float(change(number)) : int(change(number));
}

const FLOAT = /^[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[-+]?\d+)?$/i;
const SPECIAL: Readonly<Record<string, number>> = { inf: Infinity, infinity: Infinity, nan: Number.NaN };

function parseFloatText(text: string): number | undefined {
  const trimmed = text.trim();
  if (FLOAT.test(trimmed)) return Number(trimmed.replaceAll('_', ''));
  const special = Object.hasOwn(SPECIAL, trimmed.replace(/^[-+]/, '').toLowerCase())
    ? SPECIAL[trimmed.replace(/^[-+]/, '').toLowerCase()]
    : undefined;
  return special === undefined ? undefined : trimmed.startsWith('-') ? -special : special;
}

function toFloat({ costs }: Runtime, value: Value, [fallback = new Float(0)]: readonly (Value | undefined)[]): Value {
  if (typeof value === 'string') costs.changed(value.length);
  const number = typeof value === 'string' ? parseFloatText(value) : numberOf(value);
  return number === undefined ? fallback : new Float(number);
}

const DIGITS: Readonly<Record<number, RegExp>> = {
  2: /^[-+]?(?:0b)?_?[01][01_]*$/i,
  8: /^[-+]?(?:0o)?_?[0-7][0-7_]*$/i,
  10: /^[-+]?\d[\d_]*$/,
  16: /^[-+]?(?:0x)?_?[\da-f][\da-f_]*$/i,
};

function toInteger({ costs }: Runtime, value: Value, [fallback = 0, base = 10]: readonly (Value | undefined)[]): Value {
  if (typeof value !== 'string') {
    const number = numberOf(value);
    return number === undefined || !Number.isFinite(number) ? fallback : int(Math.trunc(number));
  }
  costs.changed(value.length);
  const radix = toInt(base, 'the base');
  const text = value.trim();
  if (DIGITS[radix]?.test(text)) {
    const sign = text.startsWith('-') ? -1 : 1;
    return int(sign * Number.parseInt(text.replace(/^[-+]?(?:0[box])?/i, '').replaceAll('_', ''), radix));
  }
  const number = parseFloatText(text);
  return number === undefined || !Number.isFinite(number) ? fallback : int(Math.trunc(number));
}

function indent(runtime: Runtime, value: Value, args: readonly (Value | undefined)[]): Value {
  const { costs } = runtime;
  const [width = 4, first = false, blank = false] = args;
  const indention = typeof width === 'string' ? width : costs.repeat(' ', toInt(width, 'the width'));
  const lines = linesOf(`${str(value, costs)}\n`, { costs });
  const length = lines.length * indention.length;
  costs.meter.checkLength(length);
  costs.meter.charge(length / 1024);
  const [head = '', ...rest] = lines;
  const indented = rest.map((line) => (line !== '' || isTrue(blank) ? indention + line : line));
  return costs.made([isTrue(first) ? indention + head : head, ...indented].join('\n'));
}

function replace({ costs }: Runtime, value: Value, bound: readonly (Value | undefined)[]): Value {
  const [old, by, count = null] = bound;
  const args: Value[] = [str(given('replace', 'old', old), costs), str(given('replace', 'new', by), costs)];
  if (count !== null) args.push(count);
  return applyStringMethod(str(value, costs), 'replace', args, new Map(), costs);
}

function round(_runtime: Runtime, value: Value, args: readonly (Value | undefined)[]): Value {
  const [precision = 0, method = 'common'] = args;
  const number = numberOf(value);
  if (number === undefined) throw new TemplateError(`the filter round was given '${typeName(value)}'`);
  const places = toInt(precision, 'the precision');
  const scale = 10 ** Math.min(Math.max(places, -300), 300);
  if (method === 'ceil') return new Float(Math.ceil(number * scale) / scale);
  if (method === 'floor') return new Float(Math.floor(number * scale) / scale);
  if (method !== 'common') throw new TemplateError('method must be common, ceil or floor');
  if (!(value instanceof Float) && places >= 0) return int(number);
  const rounded =
    places < 0 ? Number(fixed(number * scale, 0)) / scale : places > 100 ? number : Number(fixed(number, places));
  return value instanceof Float ? new Float(rounded) : int(rounded);
}

function title({ costs }: Runtime, value: Value): Value {
  const text = str(value, costs);
  costs.split(text.length);
  const parts = text.split(/([-\s({[<]+)/u);
  return costs.made(parts.map((part) => (part === '' ? '' : capitalized(part))).join(''));
}

const capitalized = (text: string): string => {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
};

function toJson({ costs }: Runtime, value: Value, args: readonly (Value | undefined)[]): Value {
  const [ensureAscii = false, indentBy = null, separators = null, sortKeys = false] = args;
  const isLines = indentBy !== null;
  const [itemSeparator, keySeparator] =
    separators === null ? [isLines ? ',' : ', ', ': '] : (separators as Value[]).map((each) => str(each, costs));
  return json(
    value,
    {
      ensureAscii: isTrue(ensureAscii),
      indent: !isLines
        ? undefined
        : typeof indentBy === 'string'
          ? indentBy
          : costs.repeat(' ', toInt(indentBy, 'the indent')),
      itemSeparator: itemSeparator ?? '',
      keySeparator: keySeparator ?? '',
      sortKeys: isTrue(sortKeys),
    },
    costs,
  );
}

function truncate({ costs }: Runtime, value: Value, args: readonly (Value | undefined)[]): Value {
  const [limit = 255, killWords = false, end = '...', leeway = 5] = args;
  const text = str(value, costs);
  costs.split(text.length);
  const characters = [...text];
  const suffix = str(end, costs);
  const most = toInt(limit, 'the length');
  if (characters.length <= most + (leeway === null ? 5 : toInt(leeway, 'leeway'))) return text;
  const cut = characters.slice(0, most - [...suffix].length).join('');
  const word = cut.lastIndexOf(' ');
  return costs.made((isTrue(killWords) || word < 0 ? cut : cut.slice(0, word)) + suffix);
}

function urlEncode({ costs }: Runtime, value: Value): Value {
  const encode = (text: string, isPath: boolean): string => {
    costs.split(text.length);
    const encoded = encodeURIComponent(
      text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd'),
    ).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
    return isPath ? encoded.replaceAll('%2F', '/') : encoded.replaceAll('%20', '+');
  };
  if (!(value instanceof Map)) return costs.made(encode(str(value, costs), true));
  const fields = [...value].map(
    ([key, item]) => `${encode(str(key, costs), false)}=${encode(str(item, costs), false)}`,
  );
  return costs.made(fields.join('&'));
}

function wordCount({ costs }: Runtime, value: Value): Value {
  const text = str(value, costs);
  costs.split(text.length);
  return text.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0;
}
