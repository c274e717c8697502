import { given } from './arguments.js';
import type { Costs } from './costs.js';
import type { Filter, FilterTable, Runtime, VariadicFilter } from './filter.js';
import { binary, order } from './operators.js';
import { applyTest } from './tests.js';
import {
  Iter,
  isTrue,
  itemAt,
  iterate,
  slice,
  TemplateError,
  type Tuple,
  toInt,
  toList,
  tupleOf,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';
import { str } from './write.js';

/** Reads an attribute, or the value itself. Its path has dots. */
type Getter = (item: Value) => Value;

function getterOf(runtime: Runtime, attribute: Value | undefined, fallback?: Value): Getter {
  if (attribute === undefined || attribute === null) return (item) => item;
  const parts: Value[] =
    typeof attribute === 'string'
      ? runtime.costs.parts(attribute, '.').map((part) => (/^\d+$/.test(part) ? Number(part) : part))
      : [attribute];
  return (item) => {
    let value = item;
    for (const part of parts) {
      runtime.costs.meter.charge(1 / 4);
      value = runtime.getItem(value, part);
      if (fallback !== undefined && value instanceof Undefined) value = fallback;
    }
    return value;
  };
}

/** A text without its case, unless that matters. */
function sortKey(value: Value, isCaseSensitive: Value, costs: Costs): Value {
  if (typeof value !== 'string' || isTrue(isCaseSensitive)) return value;
  costs.changed(value.length);
  return value.toLowerCase();
}

function sorted<T>(items: readonly T[], keyOf: (item: T) => Value, reverse: Value, costs: Costs): T[] {
  costs.meter.charge(items.length / 2);
  const keyed = items.map((item) => ({ item, key: keyOf(item) }));
  const sign = isTrue(reverse) ? -1 : 1;
  keyed.sort((a, b) => {
    costs.meter.charge(1 / 2);
    return sign * order('<', a.key, b.key, costs);
  });
  return keyed.map(({ item }) => item);
}

const sort: Filter = (runtime, value, [reverse = false, isCaseSensitive = false, attribute]) => {
  const { costs } = runtime;
  const attributes = typeof attribute === 'string' ? costs.parts(attribute, ',') : [attribute];
  const getters = attributes.map((each) => getterOf(runtime, each));
  const keyOf = (item: Value): Value => getters.map((get) => sortKey(get(item), isCaseSensitive, costs));
  return sorted(toList(value, costs), keyOf, reverse, costs);
};

const dictSort: Filter = ({ costs }, value, [isCaseSensitive = false, by = 'key', reverse = false]) => {
  if (by !== 'key' && by !== 'value') throw new TemplateError('You can only sort by either "key" or "value"');
  const pairs = fieldsOf(value).map(([key, item]) => tupleOf(key, item));
  costs.items(pairs.length);
  const keyOf = (pair: Tuple): Value => sortKey(pair[by === 'key' ? 0 : 1] as Value, isCaseSensitive, costs);
  return sorted(pairs, keyOf, reverse, costs);
};

function fieldsOf(value: Value): [Value, Value][] {
  if (value instanceof Undefined) return [];
  if (value instanceof Map) return [...value];
  throw new TemplateError(`Can only get item pairs from a mapping, not '${typeName(value)}'`);
}

/** One of the items with the smallest key, or with `-1` the largest. */
const extreme =
  (sign: 1 | -1): Filter =>
  (runtime, value, [isCaseSensitive = false, attribute]) => {
    const get = getterOf(runtime, attribute);
    let best: { item: Value; key: Value } | undefined;
    for (const item of iterate(value, runtime.costs)) {
      const key = sortKey(get(item), isCaseSensitive, runtime.costs);
      if (!best || sign * order('<', key, best.key, runtime.costs) < 0) best = { item, key };
    }
    return best ? best.item : new Undefined('No aggregated item, sequence was empty.');
  };

function* unique(
  runtime: Runtime,
  value: Value,
  isCaseSensitive: Value,
  attribute: Value | undefined,
): Generator<Value> {
  const get = getterOf(runtime, attribute);
  const seen = new Set<Value>();
  for (const item of iterate(value, runtime.costs)) {
    const key = sortKey(get(item), isCaseSensitive, runtime.costs);
    if (typeof key === 'object' && key !== null) throw new TemplateError(`unhashable type: '${typeName(key)}'`);
    runtime.costs.meter.charge(1);
    runtime.costs.key(key, seen.size);
    if (!seen.has(key)) yield item;
    seen.add(key);
  }
}

function* mapped(...[runtime, value, args, named]: Parameters<VariadicFilter>): Generator<Value> {
  const [name, ...rest] = args;
  if (!isTrue(value)) return;
  if (name === undefined) {
    const get = getterOf(runtime, named.get('attribute'), named.get('default'));
    if (!named.has('attribute')) throw new TemplateError('map requires a filter argument');
    for (const item of iterate(value, runtime.costs)) yield get(item);
  } else {
    for (const item of iterate(value, runtime.costs)) {
      runtime.costs.meter.charge(1);
      yield runtime.filter(str(name, runtime.costs), item, rest, named);
    }
  }
}

interface Selection {
  readonly keeps: boolean;
  readonly byAttribute: boolean;
}

function* selected(
  runtime: Runtime,
  value: Value,
  args: readonly Value[],
  { keeps, byAttribute }: Selection,
): Generator<Value> {
  if (!isTrue(value)) return;
  if (byAttribute && args.length === 0) throw new TemplateError('Missing parameter for attribute name');
  const get = getterOf(runtime, byAttribute ? args[0] : undefined);
  const [test, ...rest] = byAttribute ? args.slice(1) : args;
  for (const item of iterate(value, runtime.costs)) {
    runtime.costs.meter.charge(1 / 2);
    const tested = get(item);
    const isSelected =
      test === undefined ? isTrue(tested) : applyTest(str(test, runtime.costs), tested, rest, runtime.costs);
    if (isSelected === keeps) yield item;
  }
}

const selecting =
  (selection: Selection): VariadicFilter =>
  (runtime, value, args) =>
    new Iter(selected(runtime, value, args, selection));

const join: Filter = (runtime, value, [separator = '', attribute]) => {
  const { costs } = runtime;
  const get = getterOf(runtime, attribute);
  const between = str(separator, costs);
  let text = '';
  let isFirst = true;
  for (const item of iterate(value, costs)) {
    const part = str(get(item), costs);
    text = isFirst ? part : text + between + part;
    isFirst = false;
    costs.made('');
    costs.meter.checkLength(text.length);
    costs.meter.charge((part.length + between.length) / 1024);
  }
  return text;
};

const first: Filter = ({ costs }, value) => {
  if (typeof value === 'string') return itemAt(value, 0, costs) ?? new Undefined('No first item, sequence was empty.');
  for (const item of iterate(value, costs)) return item;
  return new Undefined('No first item, sequence was empty.');
};

const last: Filter = ({ costs }, value) => {
  if (value instanceof Iter) throw new TemplateError("'generator' object is not reversible");
  const found = typeof value === 'string' ? itemAt(value, -1, costs) : toList(value, costs).at(-1);
  return found === undefined ? new Undefined('No last item, sequence was empty.') : found;
};

const reverse: Filter = ({ costs }, value) => {
  if (typeof value === 'string') return slice(value, [null, null, -1], costs);
  return new Iter(toList(value, costs).reverse()[Symbol.iterator]());
};

const sum: Filter = (runtime, value, [attribute, start = 0]) => {
  const get = getterOf(runtime, attribute);
  let total: Value = start;
  for (const item of iterate(value, runtime.costs)) total = binary('+', total, get(item), runtime.costs);
  return total;
};

const batch: Filter = ({ costs }, value, [size, fill = null]) => {
  const items = toList(value, costs);
  const length = Math.max(1, toInt(given('batch', 'linecount', size), 'linecount'));
  const batches: Value[] = [];
  for (let i = 0; i < items.length; i += length) batches.push(items.slice(i, i + length));
  const lastBatch = batches.at(-1) as Value[] | undefined;
  if (fill !== null && lastBatch) {
    costs.items(length);
    costs.meter.checkLength(length);
    while (lastBatch.length < length) lastBatch.push(fill);
  }
  return batches;
};

const groupBy: Filter = (runtime, value, [attribute, fallback, isCaseSensitive = false]) => {
  const { costs } = runtime;
  const get = getterOf(runtime, given('groupby', 'attribute', attribute), fallback);
  const keyOf = (item: Value): Value => sortKey(get(item), isCaseSensitive, costs);
  const groups: { readonly key: Value; readonly grouper: Value; readonly items: Value[] }[] = [];
  for (const item of sorted(toList(value, costs), keyOf, false, costs)) {
    const key = keyOf(item);
    const group = groups.at(-1);
    if (group && order('<', group.key, key, costs) === 0) group.items.push(item);
    else groups.push({ key, grouper: get(item), items: [item] });
  }
  return groups.map(({ grouper, items }) => tupleOf(grouper, items));
};

export const LIST_FILTERS: FilterTable = {
  batch: [['linecount', 'fill_with'], batch],
  dictsort: [['case_sensitive', 'by', 'reverse'], dictSort],
  first: [[], first],
  groupby: [['attribute', 'default', 'case_sensitive'], groupBy],
  items: [
    [],
    (_runtime, value) =>
      new Iter(
        fieldsOf(value)
          .map(([key, item]) => tupleOf(key, item))
          [Symbol.iterator](),
      ),
  ],
  join: [['d', 'attribute'], join],
  last: [[], last],
  list: [[], ({ costs }, value) => (value instanceof View ? value.items.slice() : toList(value, costs))],
  max: [['case_sensitive', 'attribute'], extreme(-1)],
  min: [['case_sensitive', 'attribute'], extreme(1)],
  reverse: [[], reverse],
  sort: [['reverse', 'case_sensitive', 'attribute'], sort],
  sum: [['attribute', 'start'], sum],
  unique: [
    ['case_sensitive', 'attribute'],
    (runtime, value, [isCaseSensitive = false, attribute]) =>
      new Iter(unique(runtime, value, isCaseSensitive, attribute)),
  ],
};

export const VARIADIC_FILTERS: Readonly<Record<string, VariadicFilter>> = {
  map: (...call) => new Iter(mapped(...call)),
  reject: selecting({ keeps: false, byAttribute: false }),
  rejectattr: selecting({ keeps: false, byAttribute: true }),
  select: selecting({ keeps: true, byAttribute: false }),
  selectattr: selecting({ keeps: true, byAttribute: true }),
};
