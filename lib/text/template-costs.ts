import type { TemplateMeter } from './template-meter.js';
import { ArrayValue, StringValue, UndefinedValue, type Value } from './template-values.js';

// What one step pays for, in UTF-16 units of text and in items. A step is about what one expression takes, some 200 ns.
const COPIED = 1024; // put together; V8 copies them later
const SCANNED = 256; // compared or searched
const CHANGED = 64; // looked at one by one: case, JSON
const SPLIT = 4; // made a string each
const ITEMS = 16; // of a list, looked at
const SHORT_PATTERN = 32; // V8 searches for longer ones in a time that can grow with both lengths
const LONG_SEARCH = 512;
const HASHED = 16_384; // of a text as a key; all longer ones of one length have one hash

const NOTHING = new UndefinedValue(undefined);

export const lengthOf = ({ value }: Value): number => (typeof value === 'string' ? value.length : 0);
export const countOf = ({ value }: Value): number =>
  Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0;

/** Charges what the library does in one go, before it does it, by the sizes of what it is done with. */
export class TemplateCosts {
  constructor(readonly meter: TemplateMeter) {}

  joined(text: string): void {
    this.meter.checkLength(text.length);
    this.meter.charge(text.length / COPIED);
  }

  items(count: number): void {
    this.meter.charge(count / ITEMS);
  }

  changed({ length }: string): void {
    this.meter.charge(length / CHANGED);
  }

  slice(object: Value): void {
    this.meter.charge(lengthOf(object) / SPLIT + countOf(object) / ITEMS);
  }

  /** JavaScript's ==, which makes a text of a list where the other side is none. */
  equal(left: Value, right: Value): void {
    if (left instanceof ArrayValue !== right instanceof ArrayValue)
      this.weigh(left instanceof ArrayValue ? left : right);
    else if (lengthOf(left) === lengthOf(right)) this.meter.charge(lengthOf(left) / SCANNED);
  }

  /** `left in items`, or the two lists one after the other. */
  list(left: Value, items: readonly Value[]): void {
    this.meter.charge((countOf(left) + items.length * (1 + lengthOf(left) / SCANNED)) / ITEMS);
  }

  search(text: string, pattern: string): void {
    const isLong = pattern.length > SHORT_PATTERN && pattern.length <= text.length;
    this.meter.charge(text.length / SCANNED + (isLong ? (text.length * pattern.length) / LONG_SEARCH : 0));
  }

  /**
   * The value as text or JSON: walks it as that does, so that a list that holds another one many times counts each time.
   * @returns the characters of its texts.
   */
  weigh(value: Value, paddingPerLevel = 0, separators = 2): number {
    let characters = 0;
    const add = (length: number): void => {
      characters += length;
      this.meter.charge(length / CHANGED);
    };
    const walk = ({ value: inner }: Value, padding: number): void => {
      this.meter.charge(1);
      add(padding + separators);
      if (typeof inner === 'string') add(inner.length);
      else if (Array.isArray(inner)) for (const item of inner as Value[]) walk(item, padding + paddingPerLevel);
      else if (inner instanceof Map) {
        for (const [key, item] of inner as ReadonlyMap<string, Value>) {
          add(key.length);
          walk(item, padding + paddingPerLevel);
        }
      }
      this.meter.checkLength(characters);
    };
    walk(value, 0);
    return characters;
  }

  /** What `namespace` copies: a list of pairs, where a text counts as a list of its characters. */
  pairs(value: Value): void {
    this.meter.charge(countOf(value));
    if (value instanceof ArrayValue) for (const pair of value.value) this.meter.charge(lengthOf(pair));
  }

  textMethod(name: string, text: string, args: readonly Value[]): void {
    const [first, second] = args;
    if (name === 'startswith' || name === 'endswith') {
      const prefixes = first instanceof ArrayValue ? first.value : args;
      const compared = prefixes.reduce((sum, prefix) => sum + Math.min(lengthOf(prefix), text.length), 0);
      this.meter.charge(prefixes.length / ITEMS + compared / SCANNED);
    } else if (name === 'split') {
      this.meter.charge(this.#partsOf(text, first instanceof StringValue ? first.value : /\s+/));
    } else if (name === 'replace' && first instanceof StringValue && second) {
      const parts = this.#partsOf(text, first.value);
      this.meter.charge(parts + first.value.length / SPLIT); // a regular expression is made of it
      this.meter.checkLength(text.length + parts * lengthOf(second));
      this.meter.charge((parts * lengthOf(second)) / COPIED);
    } else if (name === 'title') this.meter.charge(text.length / SPLIT);
    else this.meter.charge(text.length / (name.endsWith('strip') ? SCANNED : CHANGED));
  }

  /** How many parts there are, counted no further than the steps that are left. */
  #partsOf(text: string, separator: string | RegExp): number {
    if (typeof separator === 'string') this.search(text, separator);
    else this.meter.charge(text.length / CHANGED);
    return text.split(separator as string, this.meter.left + 1).length;
  }

  objectMethod(name: string, fields: ReadonlyMap<string, Value>): void {
    if (name === 'get') return;
    this.meter.charge(fields.size);
    if (name === 'dictsort') {
      let longest = 0;
      for (const [key, value] of fields) longest = Math.max(longest, key.length, lengthOf(value));
      this.#sort(longest, fields.size);
    }
  }

  #sort(longest: number, count: number): void {
    this.meter.charge((count * Math.log2(count + 1) * (1 + longest / CHANGED)) / 2);
  }

  /** `named` are the arguments given by name. */
  filter(name: string, operand: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): void {
    if (name === 'tojson') this.#json(operand, named);
    else if (operand instanceof StringValue) this.#textFilter(name, operand.value, args, named);
    else if (operand instanceof ArrayValue) this.#listFilter(name, operand.value, args, named);
    else if (operand.value instanceof Map && name !== 'length') this.objectMethod(name, operand.value);
  }

  #json(operand: Value, named: ReadonlyMap<string, Value>): void {
    const indent = Math.max(0, Number(named.get('indent')?.value ?? 0));
    this.meter.checkLength(indent);
    const separators = named.get('separators');
    const separatorLength =
      separators instanceof ArrayValue ? separators.value.reduce((sum, each) => sum + lengthOf(each), 0) : 2;
    const characters = this.weigh(operand, indent, separatorLength);
    if (named.get('ensure_ascii')?.value === true) this.meter.charge(characters / SPLIT);
    if (named.get('sort_keys')?.value === true) this.meter.charge(characters / 8);
  }

  #textFilter(name: string, text: string, args: readonly Value[], named: ReadonlyMap<string, Value>): void {
    if (name === 'replace') this.textMethod(name, text, args);
    else if (name === 'join') {
      const separator = args[0] ?? named.get('separator');
      this.meter.charge(text.length / SPLIT);
      this.meter.checkLength(text.length * (1 + (separator ? lengthOf(separator) : 0)));
    } else if (name === 'indent') {
      const width = Math.max(0, Number((args[0] ?? named.get('width'))?.value ?? 4));
      const lines = this.#partsOf(text, '\n');
      this.meter.charge(lines / 2 + (lines * width) / COPIED);
      this.meter.checkLength(text.length + lines * width);
    } else this.meter.charge(text.length / (name === 'trim' ? SCANNED : CHANGED));
  }

  #listFilter(name: string, items: readonly Value[], args: readonly Value[], named: ReadonlyMap<string, Value>): void {
    if (name === 'reverse') this.items(items.length);
    else if (name === 'string') this.weigh(new ArrayValue([...items]));
    else if (name === 'join') this.#join(items, args[0] ?? named.get('separator'));
    else if (name === 'sort') {
      const attribute = args[2] ?? named.get('attribute');
      const path = attribute === undefined ? '' : String(attribute.value ?? '');
      const names = path === '' ? [] : path.split('.');
      this.meter.charge(items.length * names.length);
      const longest = items.reduce((most, item) => Math.max(most, lengthOf(attributeOf(item, names))), 0);
      this.#sort(longest + path.length * 8, items.length); // the library splits it for each two items
    } else if (name === 'unique') {
      const lengths = items.map(lengthOf);
      this.meter.charge(items.length + lengths.reduce((sum, length) => sum + length, 0) / SCANNED);
      const sameHash = lengths.filter((length) => length >= HASHED);
      this.meter.charge((sameHash.length * sameHash.reduce((sum, length) => sum + length, 0)) / SCANNED);
    } else if (name === 'map') {
      const path = lengthOf(named.get('attribute') ?? new StringValue(''));
      this.meter.charge(items.length * (1 + path / ITEMS));
    } else if (name === 'selectattr' || name === 'rejectattr') {
      const [path, , operand] = args;
      const lengths = path ? items.map((item) => lengthOf(attributeOf(item, [String(path.value)]))) : [];
      const compared = operand ? lengthOf(operand) : 0;
      this.meter.charge(
        lengths.reduce((sum, length) => sum + length / CHANGED, items.length * (1 + compared / SCANNED)),
      );
    }
  }

  #join(items: readonly Value[], separator: Value | undefined): void {
    let length = separator ? lengthOf(separator) * items.length : 0;
    for (const item of items) length += item instanceof StringValue ? item.value.length : this.weigh(item);
    this.meter.checkLength(length);
    this.meter.charge(length / COPIED);
  }
}

function attributeOf(item: Value, names: readonly string[]): Value {
  let at: Value | undefined = item;
  for (const name of names) {
    const inner: unknown = at?.value;
    at = inner instanceof Map ? inner.get(name) : Array.isArray(inner) ? inner[Number(name)] : undefined;
  }
  return at ?? NOTHING;
}
