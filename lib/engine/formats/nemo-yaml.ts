import { show } from '../../base/checks.js';
import { LLMError } from '../../base/errors.js';
import { type JsonContext, JsonFields } from '../../base/json.js';

// NeMo writes model_config.yaml with OmegaConf: a block mapping of scalars, mappings and lists, in YAML 1.1. This reads the scalars,
// and those of the mapping `tokenizer`, in one pass over the lines, without aliases and without recursion. Parsers of all of YAML
// recurse, and deeply nested brackets in a hostile file can then end the process.

type Scalar = string | number | boolean | null;
/** Of lists and other mappings only whether they are empty is read. */
type Value = Scalar | readonly null[] | Readonly<Record<string, Scalar>>;
type Mapping<V> = Map<string, V>;

/** The file's mapping, with OmegaConf's interpolations resolved where they name another of its keys. */
export function parseNemoYaml(text: string, context: JsonContext): JsonFields {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  const values: Mapping<Value> = new Map();
  for (const entry of entriesOf(lines, 1, context)) values.set(entry.key, readValue(entry, context));
  return new JsonFields(Object.fromEntries([...values.keys()].map((key) => [key, resolve(values, key)])), context);
}

interface Entry {
  readonly key: string;
  /** What follows the colon, without a comment. */
  readonly value: string;
  /** The lines below that belong to it, from line `firstBelow` of the file. */
  readonly below: readonly string[];
  readonly firstBelow: number;
}

const KEY = /^(?:"([^"\\]*)"|'([^']*)'|([\w./-][^\s:#]*)) *:(?= |$)/;
const isBlank = (line: string): boolean => /^\s*(#|$)/.test(line);
const isItem = (line: string): boolean => /^\s*-( |$)/.test(line);
const indentOf = (line: string): number => line.length - line.trimStart().length;

/** The entries of the block mapping that the lines hold; `firstLine` is the number of the first in the file. */
function entriesOf(lines: readonly string[], firstLine: number, context: JsonContext): Entry[] {
  const entries: Entry[] = [];
  const keys = new Set<string>();
  const start = lines.findIndex((line) => !isBlank(line) && line.trimEnd() !== '---');
  const indent = start < 0 ? 0 : indentOf(lines[start] as string);
  for (let at = Math.max(start, 0); at < lines.length; ) {
    const line = lines[at] as string;
    if (isBlank(line)) {
      at++;
      continue;
    }
    const invalid = (expected: string): LLMError =>
      new LLMError(
        context.code,
        `${context.file}:${firstLine + at}: ${show(line)}; expected ${expected}. ${context.fix}`,
      );
    const match = indentOf(line) === indent ? KEY.exec(line.slice(indent)) : null;
    if (!match) throw invalid('a line of the form "key: value"');
    const key = match[1] ?? match[2] ?? (match[3] as string);
    if (keys.has(key)) throw invalid('each key once');
    keys.add(key);
    const value = withoutComment(line.slice(indent + match[0].length).trim());
    if (/^[&*!]/.test(value)) throw invalid('a plain value: anchors, aliases and tags are not read');
    const firstBelow = at + 1;
    // A list may stand right below its key, not indented.
    const belongs = (below: string): boolean =>
      isBlank(below) || indentOf(below) > indent || (value === '' && isItem(below) && indentOf(below) === indent);
    for (at = firstBelow; at < lines.length && belongs(lines[at] as string); ) at++;
    entries.push({ key, value, below: lines.slice(firstBelow, at), firstBelow: firstLine + firstBelow });
  }
  return entries;
}

function readValue({ key, value, below, firstBelow }: Entry, context: JsonContext): Value {
  const content = below.filter((line) => !isBlank(line));
  const [first] = content;
  if (first === undefined) return value === '[]' ? [] : value === '{}' ? {} : scalarOf(value);
  if (value !== '') return `${value} ...`; // text of several lines, which no key that is read has
  if (isItem(first)) return [null];
  if (key !== 'tokenizer') return { '...': null };
  const entries = entriesOf(below, firstBelow, context);
  return Object.fromEntries(
    entries.map((entry) => [entry.key, entry.below.every(isBlank) ? scalarOf(entry.value) : null]),
  );
}

/** A comment starts at a "#" after a space, but not in quotes. */
function withoutComment(text: string): string {
  const quote = text[0];
  const from = quote === '"' || quote === "'" ? text.lastIndexOf(quote) : 0;
  const comment = text.startsWith('#') ? 0 : text.indexOf(' #', from);
  return comment < 0 ? text : text.slice(0, comment).trimEnd();
}

function scalarOf(text: string): Scalar {
  if (/^"[^"\\]*"$/.test(text)) return text.slice(1, -1);
  if (/^'(?:[^']|'')*'$/.test(text)) return text.slice(1, -1).replaceAll("''", "'");
  if (/^(?:|~|null|Null|NULL)$/.test(text)) return null;
  if (/^(?:true|True|TRUE)$/.test(text)) return true;
  if (/^(?:false|False|FALSE)$/.test(text)) return false;
  return /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?$/i.test(text) ? Number(text) : text;
}

const MAX_HOPS = 16;

/** Resolves `${.other}`, `${other}` and, from the larger file that this was the part `model` of, `${model.other}`. */
function resolve(values: Mapping<Value>, key: string): Value | undefined {
  let value = values.get(key);
  for (let hops = 0; hops < MAX_HOPS && typeof value === 'string'; hops++) {
    const [, other] = /^\$\{(?:\.|model\.)?(\w+)\}$/.exec(value) ?? [];
    if (other === undefined || !values.has(other)) return value;
    value = values.get(other);
  }
  return value;
}
