import { bind } from './arguments.js';
import { LINE, LINE_END, WHITESPACE } from './characters.js';
import type { Costs } from './costs.js';
import { formatFields } from './format.js';
import {
  isTuple,
  iterate,
  lengthOf,
  type Named,
  slice,
  splitCharacters,
  TemplateError,
  toInt,
  tupleOf,
  typeName,
  Undefined,
  type Value,
} from './values.js';

interface Call {
  readonly costs: Costs;
  /** By the names of the parameters; undefined where not given. */
  readonly args: readonly (Value | undefined)[];
}
type Method = (text: string, call: Call) => Value;

const SPACE = new RegExp(`[${WHITESPACE}]`);

/** A function of each character, or of the whole text where that gives the same. */
const changing =
  (change: (text: string) => string): Method =>
  (text, { costs }) => {
    costs.changed(text.length);
    return costs.made(change(text));
  };

/** Letter by letter. */
const remade =
  (change: (text: string) => string): Method =>
  (text, { costs }) => {
    costs.split(text.length);
    return costs.made(change(text));
  };

const testing =
  (pattern: RegExp): Method =>
  (text, { costs }) => {
    costs.changed(text.length);
    return pattern.test(text);
  };

const capitalize = (text: string): string => {
  const [first = ''] = text;
  const [upper = '', ...more] = first.toUpperCase(); // ß is Ss
  return upper + more.join('').toLowerCase() + text.slice(first.length).toLowerCase();
};

const textOf = (value: Value | undefined, what: string): string => {
  if (typeof value === 'string') return value;
  throw new TemplateError(`${what} is '${typeName(value ?? null)}'; expected a str`);
};

const stripping =
  (atStart: boolean, atEnd: boolean): Method =>
  (text, { costs, args: [characters = null] }) => {
    let matches = (character: string): boolean => SPACE.test(character);
    if (characters !== null) {
      const set = new Set(splitCharacters(textOf(characters, 'what is stripped'), costs));
      matches = (character) => set.has(character);
    }
    let begin = 0;
    let end = text.length;
    while (atStart && begin < end) {
      const character = String.fromCodePoint(text.codePointAt(begin) as number);
      if (!matches(character)) break;
      costs.items(1);
      begin += character.length;
    }
    while (atEnd && end > begin) {
      const unit = text.charCodeAt(end - 1);
      const isPair =
        unit >= 0xdc00 && unit < 0xe000 && end - begin > 1 && (text.codePointAt(end - 2) as number) > 0xffff;
      const character = text.slice(end - (isPair ? 2 : 1), end);
      if (!matches(character)) break;
      costs.items(1);
      end -= character.length;
    }
    return costs.made(text.slice(begin, end));
  };

/** Whether the text begins or ends with the argument, or with one of a tuple. */
const affix =
  (test: (text: string, part: string) => boolean): Method =>
  (text, { costs, args: [parts, start = null, end = null] }) => {
    const inner = start === null && end === null ? text : sliced(text, [start, end], costs);
    const list = parts !== undefined && isTuple(parts) ? parts : [parts];
    return list.some((part) => {
      const affixText = textOf(part, 'the prefix or suffix');
      costs.meter.charge(1 / 16 + Math.min(affixText.length, inner.length) / 256);
      return test(inner, affixText);
    });
  };

function sliced(text: string, bounds: readonly Value[], costs: Costs): string {
  const [start = null, end = null] = bounds.map((bound) => (bound === null ? null : toInt(bound, 'an index')));
  return slice(text, [start, end, null], costs) as string;
}

/** Where the argument is, in code points; -1 if it is nowhere. */
const finding =
  (find: 'indexOf' | 'lastIndexOf', isNeeded: boolean): Method =>
  (text, { costs, args: [sought, start = null, end = null] }) => {
    const part = textOf(sought, 'what is looked for');
    const length = lengthOf(text, costs);
    const from = start === null ? 0 : toInt(start, 'an index');
    const first = from < 0 ? Math.max(0, from + length) : from;
    const inner = first > length ? '' : sliced(text, [first, end], costs);
    costs.search(inner, part);
    const at = first > length ? -1 : inner[find](part);
    if (at >= 0) return first + lengthOf(inner.slice(0, at), costs);
    if (isNeeded) throw new TemplateError('substring not found');
    return -1;
  };

function count(text: string, { costs, args: [sought, start = null, end = null] }: Call): Value {
  const part = textOf(sought, 'what is counted');
  const inner = sliced(text, [start, end], costs);
  return part === '' ? lengthOf(inner, costs) + 1 : costs.parts(inner, part).length - 1;
}

function replace(text: string, { costs, args: [old, by, times = -1] }: Call): Value {
  const [sought, replacement] = [textOf(old, 'what is replaced'), textOf(by, 'the replacement')];
  const most = toInt(times, 'the count');
  const parts = sought === '' ? ['', ...splitCharacters(text, costs), ''] : costs.parts(text, sought);
  const last = most < 0 ? parts.length - 1 : Math.min(most, parts.length - 1);
  const length = text.length + last * (replacement.length - sought.length);
  costs.meter.checkLength(length);
  costs.meter.charge(length / 1024);
  const tail = parts.slice(last).join(sought);
  return last === 0 ? tail : `${parts.slice(0, last).join(replacement)}${replacement}${tail}`;
}

/** At runs of whitespace, of which none is an empty part. */
function splitAtSpaces(text: string, most: number, costs: Costs, fromEnd: boolean): string[] {
  costs.changed(text.length);
  const words: { readonly begin: number; readonly end: number }[] = [];
  for (const { 0: word, index } of text.matchAll(WORDS)) {
    costs.meter.charge(1);
    words.push({ begin: index, end: index + word.length });
  }
  if (most < 0 || words.length <= most + 1) return words.map(({ begin, end }) => text.slice(begin, end));
  const at = fromEnd ? words.length - most : most;
  const texts = (some: typeof words): string[] => some.map(({ begin, end }) => text.slice(begin, end));
  if (fromEnd) return [text.slice(0, words[at - 1]?.end).replace(LEADING, ''), ...texts(words.slice(at))];
  const rest = text.slice(words[at]?.begin);
  return [...texts(words.slice(0, at)), stripping(false, true)(rest, { costs, args: [] }) as string];
}
const ALL_LINES = new RegExp(`${LINE}(?:${LINE_END}|$)`, 'g');
const LAST_END = new RegExp(`${LINE_END}$`);
const WORDS = new RegExp(`[^${WHITESPACE}]+`, 'g');
const LEADING = new RegExp(`^[${WHITESPACE}]+`);

const splitting =
  (fromEnd: boolean): Method =>
  (text, { costs, args: [separator = null, times = -1] }) => {
    const most = toInt(times, 'maxsplit');
    if (separator === null) return splitAtSpaces(text, most, costs, fromEnd);
    const between = textOf(separator, 'the separator');
    if (between === '') throw new TemplateError('empty separator');
    const parts = costs.parts(text, between);
    if (most < 0 || parts.length <= most + 1) return parts;
    if (fromEnd) {
      const at = parts.length - most;
      return [parts.slice(0, at).join(between), ...parts.slice(at)];
    }
    return [...parts.slice(0, most), parts.slice(most).join(between)];
  };

const partitioning =
  (find: 'indexOf' | 'lastIndexOf'): Method =>
  (text, { costs, args: [separator] }) => {
    const between = textOf(separator, 'the separator');
    if (between === '') throw new TemplateError('empty separator');
    costs.search(text, between);
    const at = text[find](between);
    if (at < 0) return find === 'indexOf' ? tupleOf(text, '', '') : tupleOf('', '', text);
    return tupleOf(text.slice(0, at), between, text.slice(at + between.length));
  };

function splitLines(text: string, { costs, args: [keepEnds = false] }: Call): Value {
  return linesOf(text, { keepsEnds: keepEnds === true, costs });
}

export function linesOf(text: string, { keepsEnds = false, costs }: { keepsEnds?: boolean; costs: Costs }): string[] {
  const lines: string[] = [];
  for (const [line] of text.matchAll(ALL_LINES)) {
    costs.meter.charge(1 + line.length / 1024);
    if (line !== '') lines.push(keepsEnds ? line : line.replace(LAST_END, '')); // behind the last end there is none
  }
  return lines;
}
function join(text: string, { costs, args: [items] }: Call): Value {
  let joined = '';
  let isFirst = true;
  for (const item of iterate(items ?? null, costs)) {
    joined = isFirst ? textOf(item, 'an item') : joined + text + textOf(item, 'an item');
    isFirst = false;
    costs.meter.checkLength(joined.length);
    costs.meter.charge((text.length + (item as string).length) / 1024);
  }
  return joined;
}

const padding =
  (side: 'left' | 'right' | 'both'): Method =>
  (text, { costs, args: [width, fill = ' '] }) => {
    const wanted = toInt(width ?? null, 'the width');
    const missing = wanted - lengthOf(text, costs);
    const character = textOf(fill, 'the fill character');
    if (missing <= 0) return text;
    // Python puts the odd one on the left where the width is odd.
    const left = side === 'left' ? missing : side === 'right' ? 0 : (missing >> 1) + (missing & wanted & 1);
    return costs.made(costs.repeat(character, left) + text + costs.repeat(character, missing - left));
  };

const zeroFill: Method = (text, { costs, args: [width] }) => {
  const missing = toInt(width ?? null, 'the width') - lengthOf(text, costs);
  if (missing <= 0) return text;
  const sign = /^[-+]/.exec(text)?.[0] ?? '';
  return costs.made(sign + costs.repeat('0', missing) + text.slice(sign.length));
};

const removing =
  (atStart: boolean): Method =>
  (text, { args: [affixValue] }) => {
    const part = textOf(affixValue, 'the prefix or suffix');
    if (part === '' || !(atStart ? text.startsWith(part) : text.endsWith(part))) return text;
    return atStart ? text.slice(part.length) : text.slice(0, text.length - part.length);
  };

const swapCase = (text: string): string =>
  text.replace(/\p{L}/gu, (letter) => (letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase()));

const isCased =
  (wanted: (text: string) => string, other: (text: string) => string): Method =>
  (text, { costs }) => {
    costs.changed(text.length);
    return text === wanted(text) && text !== other(text);
  };
const lower = (text: string): string => text.toLowerCase();
const upper = (text: string): string => text.toUpperCase();
const titled = (text: string): string => text.replace(/\p{L}+/gu, capitalize);

const RANGE = ['sub', 'start', 'end'];
const METHODS: Readonly<Record<string, readonly [parameters: readonly string[], method: Method]>> = {
  __proto__: null as never,
  capitalize: [[], changing(capitalize)],
  casefold: [[], changing((text) => text.toLowerCase().replaceAll('ß', 'ss'))],
  center: [['width', 'fillchar'], padding('both')],
  count: [RANGE, count],
  endswith: [['suffix', 'start', 'end'], affix((text, part) => text.endsWith(part))],
  expandtabs: [['tabsize'], (text, { costs, args: [size = 8] }) => expandTabs(text, toInt(size, 'the size'), costs)],
  find: [RANGE, finding('indexOf', false)],
  index: [RANGE, finding('indexOf', true)],
  isalnum: [[], testing(/^[\p{L}\p{N}]+$/u)],
  isalpha: [[], testing(/^\p{L}+$/u)],
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII
  isascii: [[], testing(/^[\x00-\x7f]*$/)],
  isdecimal: [[], testing(/^\p{Nd}+$/u)],
  isdigit: [[], testing(/^[\p{Nd}²³¹⁰⁴-⁹₀-₉]+$/u)],
  islower: [[], isCased(lower, upper)],
  isnumeric: [[], testing(/^\p{N}+$/u)],
  isspace: [[], testing(new RegExp(`^[${WHITESPACE}]+$`))],
  istitle: [[], isCased(titled, lower)],
  isupper: [[], isCased(upper, lower)],
  join: [['iterable'], join],
  ljust: [['width', 'fillchar'], padding('right')],
  lower: [[], changing(lower)],
  lstrip: [['chars'], stripping(true, false)],
  partition: [['sep'], partitioning('indexOf')],
  removeprefix: [['prefix'], removing(true)],
  removesuffix: [['suffix'], removing(false)],
  replace: [['old', 'new', 'count'], replace],
  rfind: [RANGE, finding('lastIndexOf', false)],
  rindex: [RANGE, finding('lastIndexOf', true)],
  rjust: [['width', 'fillchar'], padding('left')],
  rpartition: [['sep'], partitioning('lastIndexOf')],
  rsplit: [['sep', 'maxsplit'], splitting(true)],
  rstrip: [['chars'], stripping(false, true)],
  split: [['sep', 'maxsplit'], splitting(false)],
  splitlines: [['keepends'], splitLines],
  startswith: [['prefix', 'start', 'end'], affix((text, part) => text.startsWith(part))],
  strip: [['chars'], stripping(true, true)],
  swapcase: [[], remade(swapCase)],
  title: [[], remade(titled)],
  upper: [[], changing(upper)],
  zfill: [['width'], zeroFill],
};

function expandTabs(text: string, size: number, costs: Costs): string {
  const lines = costs.parts(text, '\n');
  const expanded = lines.map((line) =>
    costs.parts(line, '\t').reduce((before, part) => {
      const missing = size <= 0 ? 0 : size - (lengthOf(before, costs) % size);
      return costs.made(before + costs.repeat(' ', missing) + part);
    }),
  );
  return costs.made(expanded.join('\n'));
}

export const isStringMethod = (name: string): boolean => name in METHODS || name === 'format';

export function applyStringMethod(
  text: string,
  name: string,
  args: readonly Value[],
  named: Named,
  costs: Costs,
): Value {
  if (name === 'format') return formatFields(text, args, named, costs);
  const found = METHODS[name];
  if (!found) throw new TemplateError(`'str object' has no attribute '${name}'`);
  const [parameters, method] = found;
  const bound = bind(name, parameters, args, named);
  const lacking = bound.find((arg) => arg instanceof Undefined) as Undefined | undefined;
  if (lacking) throw new TemplateError(lacking.hint);
  return method(text, { costs, args: bound });
}
