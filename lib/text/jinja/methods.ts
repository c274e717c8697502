import { bind } from './arguments.js';
import type { Costs } from './costs.js';
import { isEqual } from './operators.js';
import { applyStringMethod, isStringMethod } from './string-methods.js';
import {
  Callable,
  checkKey,
  type Dict,
  Parts,
  TemplateError,
  tupleOf,
  type Value,
  View,
  WrittenDict,
} from './values.js';

/** The method of a value; undefined if it has none of that name, or one that would change the value. */
export function methodOf(object: Value, name: string, costs: Costs): Callable | undefined {
  if (typeof object === 'string') {
    if (!isStringMethod(name)) return undefined;
    return new Callable(name, (args, named) => applyStringMethod(object, name, args, named, costs));
  }
  if (object instanceof Map) {
    const found = dictMethod(object, name, costs);
    return !found && object instanceof WrittenDict ? methodOf(object.text, name, costs) : found;
  }
  const found = Array.isArray(object) ? listMethod(object, name, costs) : undefined;
  return !found && object instanceof Parts ? methodOf(object.text(), name, costs) : found;
}

function dictMethod(fields: Dict, name: string, costs: Costs): Callable | undefined {
  switch (name) {
    case 'get':
      return new Callable(name, (args, named) => {
        const [key, fallback = null] = bind(name, ['key', 'default'], args, named);
        if (key === undefined) throw new TemplateError('get expected at least 1 argument, got 0');
        costs.key(key, fields.size);
        const found = fields.get(checkKey(key));
        return found === undefined ? fallback : found;
      });
    case 'items':
      return viewing('dict_items', fields, costs, () => [...fields].map(([key, value]) => tupleOf(key, value)));
    case 'keys':
      return viewing('dict_keys', fields, costs, () => [...fields.keys()]);
    case 'values':
      return viewing('dict_values', fields, costs, () => [...fields.values()]);
    case 'copy':
      return new Callable(name, () => {
        costs.meter.charge(fields.size);
        return new Map(fields);
      });
    default:
      return undefined;
  }
}

function viewing(name: string, { size }: Dict, costs: Costs, items: () => Value[]): Callable {
  return new Callable(name, (args, named) => {
    bind(name, [], args, named);
    costs.meter.charge(size);
    return new View(name, items());
  });
}

function listMethod(items: Value[], name: string, costs: Costs): Callable | undefined {
  const positions = (sought: Value | undefined): number[] => {
    costs.items(items.length);
    return items.flatMap((item, i) => (sought !== undefined && isEqual(item, sought, costs) ? [i] : []));
  };
  switch (name) {
    case 'count':
      return new Callable(name, ([sought]) => positions(sought).length);
    case 'index':
      return new Callable(name, ([sought]) => {
        const [found] = positions(sought);
        if (found === undefined) throw new TemplateError('the value is not in the list');
        return found;
      });
    case 'copy':
      return new Callable(name, () => {
        costs.items(items.length);
        return items.slice();
      });
    default:
      return undefined;
  }
}
