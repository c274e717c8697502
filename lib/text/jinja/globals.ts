import type { Costs } from './costs.js';
import { checkField } from './interpreter.js';
import {
  Attributes,
  Callable,
  checkKey,
  type Dict,
  int,
  iterate,
  type Named,
  Namespace,
  TemplateError,
  toList,
  typeName,
  type Value,
} from './values.js';
import { str } from './write.js';

const MAX_RANGE = 100_000; // that of Jinja's sandbox

/** The functions that Jinja has for every template. */
export const globals = (costs: Costs): ReadonlyMap<string, Value> =>
  new Map<string, Value>(
    [
      new Callable('range', (args) => range(args, costs)),
      new Callable('dict', (args, named) => dict(args, named, costs)),
      new Callable('namespace', (args, named) => {
        const fields = new Map<string, Value>();
        for (const [name, value] of dict(args, named, costs)) fields.set(checkField(str(name, costs)), value);
        return new Namespace(fields);
      }),
      new Callable('cycler', (args) => new Cycler(args)),
      new Callable('joiner', ([separator = ', ']) => {
        let isFirst = true;
        return new Callable('joiner', () => {
          const text = isFirst ? '' : separator;
          isFirst = false;
          return text;
        });
      }),
    ].map((each) => [each.name, each]),
  );

function range(args: readonly Value[], costs: Costs): Value {
  if (args.length < 1 || args.length > 3)
    throw new TemplateError(`range expected 1 to 3 arguments, got ${args.length}`);
  const [first = 0, second, step = 1] = args.map((arg) => {
    if (typeof arg === 'number' || typeof arg === 'boolean') return Number(arg);
    throw new TemplateError(`'${typeName(arg)}' object cannot be interpreted as an integer`);
  });
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero');
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (count > MAX_RANGE) throw new TemplateError(`range() makes more than ${MAX_RANGE} numbers`);
  costs.items(count);
  return Array.from({ length: count }, (_, i) => int(start + i * step));
}

function dict([source]: readonly Value[], named: Named, costs: Costs): Dict {
  const fields: Dict = new Map();
  const add = (key: Value, value: Value): void => {
    costs.meter.charge(1);
    costs.key(key, fields.size);
    fields.set(checkKey(key), value);
  };
  if (source instanceof Map) for (const [key, value] of source) add(key, value);
  else if (source instanceof Namespace) for (const [key, value] of source.fields) add(key, value);
  else if (source !== undefined) {
    for (const pair of iterate(source, costs)) {
      const items = toList(pair, costs);
      if (items.length !== 2) throw new TemplateError(`a pair of key and value has ${items.length} items`);
      add(items[0] as Value, items[1] as Value);
    }
  }
  for (const [key, value] of named) add(key, value);
  return fields;
}

class Cycler extends Attributes {
  readonly typeName = 'Cycler';
  #at = 0;

  constructor(readonly items: readonly Value[]) {
    super();
    if (items.length === 0) throw new TemplateError('at least one item has to be provided');
  }

  attribute(name: string): Value | undefined {
    const current = this.items[this.#at] as Value;
    if (name === 'current') return current;
    if (name !== 'next' && name !== 'reset') return undefined;
    return new Callable(name, () => {
      this.#at = name === 'next' ? (this.#at + 1) % this.items.length : 0;
      return name === 'next' ? current : null;
    });
  }
}
