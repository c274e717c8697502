import { isJsonObject } from '../../base/json.js';
import { allMatches } from './matcher.js';
import type { Pattern } from './pattern.js';

// What models write that is not JSON, made into JSON text. Numbers keep their digits, so nothing is parsed that need not be.

type Settings = Readonly<Record<string, unknown>>;

/** A content's entries, each value as JSON text. */
export type Entries = Map<string, string>;

/** An object as Python writes it, which is what models have seen. */
export const objectText = (entries: Entries): string =>
  `{${[...entries].map(([key, value]) => `${JSON.stringify(key)}: ${value}`).join(', ')}}`;

/** Undefined if there is something between the tags. */
export function readTags(text: string, tag: Pattern, settings: Settings): Entries | undefined {
  const found = new Map<string, string[]>();
  let rest = '';
  let at = 0;
  for (const { begin, end, groups } of allMatches(tag, text)) {
    const part = (name: string): string => {
      const group = groups.get(name);
      return group ? text.slice(group.begin, group.end) : '';
    };
    const value = readValue(part('value'), settings.value_parser);
    if (value === undefined) return undefined;
    const key = part('key');
    found.set(key, settings.merge_duplicates === true ? [...(found.get(key) ?? []), value] : [value]);
    rest += text.slice(at, begin);
    at = end;
  }
  rest += text.slice(at);
  if (!ONLY_END_TAGS.test(rest)) return undefined;
  return new Map(
    [...found].map(([key, values]) => [key, values.length > 1 ? `[${values.join(', ')}]` : (values[0] as string)]),
  );
}

const ONLY_END_TAGS = /^\s*(?:<\/[\w-]+>\s*)*$/;

/** Undefined if a line is not of the form key, separator, value. */
export function readLines(text: string, settings: Settings): Entries | undefined {
  const separator = (name: string, otherwise: string): string => {
    const value = settings[name];
    return typeof value === 'string' && value !== '' ? value : otherwise;
  };
  const between = separator('kv_sep', ':');
  const strip = (part: string): string => (settings.strip === false ? part : part.trim());
  const entries: Entries = new Map();
  for (const line of text.split(separator('line_sep', '\n'))) {
    if (line.trim() === '') continue;
    const at = line.indexOf(between);
    if (at < 0) return undefined;
    const value = readValue(strip(line.slice(at + between.length)), settings.value_parser);
    if (value === undefined) return undefined;
    entries.set(strip(line.slice(0, at)), value);
  }
  return entries;
}

/** The JSON text of a value by its `value_parser`; undefined if it is not what that reads. */
function readValue(text: string, parser: unknown): string | undefined {
  if (!isJsonObject(parser)) return JSON.stringify(text);
  const settings = isJsonObject(parser.args) ? parser.args : {};
  const stripped = settings.strip === false ? text : text.trim();
  switch (parser.name ?? 'text') {
    case 'text':
      return JSON.stringify(stripped);
    case 'int':
      return integerText(stripped);
    case 'float':
      return numberText(stripped);
    case 'bool':
      return String(['true', '1'].includes(stripped.toLowerCase()));
    case 'json': {
      const json = strictJson(text, settings);
      if (isJson(json)) return json.trim();
      return settings.allow_non_json === true ? JSON.stringify(stripped) : undefined;
    }
    default:
      return undefined;
  }
}

export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export const integerText = (text: string): string | undefined =>
  /^[+-]?\d+$/.test(text) && text.length <= MAX_DIGITS ? String(BigInt(text.replace('+', ''))) : undefined;

const MAX_DIGITS = 1000; // BigInt takes more than linear time

export function numberText(text: string): string | undefined {
  const value = text === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) ? (integerText(text) ?? JSON.stringify(value)) : undefined;
}

const HELD = /\ue000(\d+)\ue001/g; // a string, while keys are looked for; for private use, so no model writes them

/** A dialect of JSON as JSON: strings between other marks, keys without any. What does not fit stays as it is. */
export function strictJson(text: string, settings: Settings): string {
  const strings: string[] = [];
  let strict = text;
  const marks: unknown[] = Array.isArray(settings.string_delims) ? settings.string_delims : [];
  if (marks.length > 0 && /[\ue000\ue001]/.test(text)) return text;
  for (const [open, close] of marks.filter(isPair)) {
    let done = '';
    let at = 0;
    for (;;) {
      const begin = strict.indexOf(open, at);
      const end = begin < 0 ? -1 : strict.indexOf(close, begin + open.length);
      if (end < 0) break;
      done += `${strict.slice(at, begin)}\ue000${strings.length}\ue001`;
      strings.push(strict.slice(begin + open.length, end));
      at = end + close.length;
    }
    strict = done + strict.slice(at);
  }
  if (settings.unquoted_keys === true) strict = strict.replace(/(?<=[{,]\s*)([\p{L}\p{N}_]+)(?=\s*:)/gu, '"$1"');
  return strict.replace(HELD, (_, index) => JSON.stringify(strings[Number(index)]));
}

const isPair = (value: unknown): value is [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every((each) => typeof each === 'string' && each !== '');
