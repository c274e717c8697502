import { isJsonObject } from '../../base/json.js';
import { REASONING_FIELDS, type ResponseField, type ResponseTemplate } from '../../base/response-template.js';
import { type CallShape, readCallShape } from './call-shape.js';
import { Pattern } from './pattern.js';
import { PatternError } from './pattern-parser.js';
import { TemplateFault } from './template-fault.js';

/** How the content of a call's region is written. */
export interface CallFormat {
  readonly content: 'json' | 'xml-inline' | 'kv-lines';
  readonly settings: Readonly<Record<string, unknown>>;
  /** Of a tag, for xml-inline. */
  readonly tag: Pattern | undefined;
  readonly shape: CallShape;
}

/** A region of an answer. */
export interface Region {
  readonly name: string;
  /** Where its text goes; that of a `'verbatim'` one goes to the answer's text with its marks. */
  readonly channel: 'text' | 'reasoning' | 'calls' | 'verbatim';
  readonly open: Pattern | undefined;
  readonly close: Pattern | undefined;
  /** Whether white space beside marks is dropped. */
  readonly strips: boolean;
  readonly calls: CallFormat | undefined;
}

/** A response template that was checked, in the form that answers are read by. */
export interface CompiledTemplate {
  readonly template: ResponseTemplate;
  readonly regions: readonly Region[];
  readonly startAnchor: Pattern;
  /** Ids of calls have 9 letters and digits, as Mistral's chat templates demand. */
  readonly hasShortIds: boolean;
}

const TEMPLATE_KEYS = ['version', 'defaults', 'fields', 'start_anchor', 'start_anchor_pattern'];
const FIELD_KEYS = [
  ...['open', 'open_pattern', 'close', 'close_pattern', 'content', 'content_args'],
  ...['repeats', 'join', 'optional', 'transform', 'transform_each'],
];
const MAX_FIELDS = 64;
const MAX_TEXTS = 64;
const MAX_INSTRUCTIONS = 4096; // of all patterns: each can take a step for every character

const CHANNELS: Readonly<Record<string, Region['channel']>> = {
  content: 'text',
  ...Object.fromEntries(REASONING_FIELDS.map((name) => [name, 'reasoning'])),
  tool_calls: 'calls',
};

/**
 * Reads a response template, as Hugging Face transformers does.
 * @throws {TemplateFault} naming the part that is wrong, or that cannot be done here.
 */
export function compileTemplate(given: unknown): CompiledTemplate {
  if (!isJsonObject(given)) throw new TemplateFault('', 'is not an object');
  const { version = 1, defaults = {}, fields } = given;
  if (version !== 1) throw new TemplateFault('version', 'is not 1');
  checkKeys(given, TEMPLATE_KEYS);
  if (!isJsonObject(defaults)) throw new TemplateFault('defaults', 'is not an object');
  if (!isJsonObject(fields) || Object.keys(fields).length === 0) throw new TemplateFault('fields', 'has no field');
  if (Object.keys(fields).length > MAX_FIELDS) throw new TemplateFault('fields', `has more than ${MAX_FIELDS}`);
  const startAnchor = readMark(given, 'start_anchor');
  if (!startAnchor) throw new TemplateFault('start_anchor', 'is missing');
  const regions = Object.entries(fields).map(([name, field]) => {
    try {
      return readRegion(name, field);
    } catch (cause) {
      throw cause instanceof TemplateFault ? cause.within(`fields.${name}`) : cause;
    }
  });
  const implicit = regions.filter(({ open }) => open === undefined);
  if (implicit.length > 1) {
    throw new TemplateFault('fields', `has several without open: ${implicit.map(({ name }) => name).join(', ')}`);
  }
  const patterns = [startAnchor, ...regions.flatMap(({ open, close }) => [open, close])];
  const instructions = patterns.reduce((sum, pattern) => sum + (pattern?.program.length ?? 0), 0);
  if (instructions > MAX_INSTRUCTIONS) throw new TemplateFault('fields', 'has marks that are too long');
  const compiled = { template: given as unknown as ResponseTemplate, regions, startAnchor };
  return { ...compiled, hasShortIds: marksOf(compiled, true).some((mark) => mark.includes('[TOOL_CALLS]')) };
}

/** The regions that are looked for: those of calls only where there are tools. */
export const usedRegions = ({ regions }: Pick<CompiledTemplate, 'regions'>, hasTools: boolean): Region[] =>
  regions.filter(({ channel }) => hasTools || channel !== 'calls');

/** The marks that are looked for. A special token that one of them names must not be left out of the text. */
export function marksOf(template: Pick<CompiledTemplate, 'regions' | 'startAnchor'>, hasTools: boolean): string[] {
  const used = usedRegions(template, hasTools);
  const hasImplicit = used.some(({ open }) => open === undefined);
  const patterns = used.flatMap(({ open, close }) => [open, close]).concat(hasImplicit ? [] : template.startAnchor);
  return patterns.flatMap((pattern) => (pattern ? [pattern.source.replace(/\\(.)/gs, '$1')] : []));
}

function checkKeys(given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new TemplateFault(unknown.slice(0, 100), 'is not a known key');
}

function readRegion(name: string, given: unknown): Region {
  if (!isJsonObject(given)) throw new TemplateFault('', 'is not an object');
  checkKeys(given, FIELD_KEYS);
  const field = given as ResponseField & Record<string, unknown>;
  const open = readMark(given, 'open');
  const close = readMark(given, 'close');
  const channel = Object.hasOwn(CHANNELS, name) ? (CHANNELS[name] as Region['channel']) : 'verbatim';
  // A call goes on from an empty mark; text would begin there again and again.
  if (open?.canBeEmpty && channel !== 'calls') throw new TemplateFault('open_pattern', 'can match no text');
  const settings = field.content_args ?? {};
  if (!isJsonObject(settings)) throw new TemplateFault('content_args', 'is not an object');
  const calls = channel === 'calls' ? readCallFormat(field, settings, open) : undefined;
  if (calls && !open) throw new TemplateFault('open', 'is missing');
  return { name, channel, open, close, strips: settings.strip !== false, calls };
}

const CONTENTS = ['json', 'xml-inline', 'kv-lines'] as const;

function readCallFormat(
  { content, transform, transform_each: isList = false }: ResponseField,
  settings: Readonly<Record<string, unknown>>,
  open: Pattern | undefined,
): CallFormat {
  const known = CONTENTS.find((each) => each === content);
  if (known === undefined) throw new TemplateFault('content', `is not one of ${CONTENTS.join(', ')}`);
  if (isList && known !== 'json') throw new TemplateFault('transform_each', 'is for json');
  const tag = known === 'xml-inline' ? pattern(settings.tag_pattern, 'content_args.tag_pattern') : undefined;
  if (tag && !['key', 'value'].every((group) => tag.groups.includes(group))) {
    throw new TemplateFault('content_args.tag_pattern', 'has no groups key and value');
  }
  return { content: known, settings, tag, shape: readCallShape(transform, isList, open?.groups ?? []) };
}

/** A mark, as texts or as a pattern. */
function readMark(given: Readonly<Record<string, unknown>>, name: 'start_anchor' | 'open' | 'close') {
  const texts = given[name];
  const source = given[`${name}_pattern`];
  if (texts === undefined) return source === undefined ? undefined : pattern(source, `${name}_pattern`);
  if (source !== undefined) throw new TemplateFault(`${name}_pattern`, `stands beside ${name}`);
  const list: readonly unknown[] = Array.isArray(texts) ? texts : [texts];
  const areTexts = (all: readonly unknown[]): all is string[] =>
    all.every((text) => typeof text === 'string' && text !== '');
  if (list.length === 0 || list.length > MAX_TEXTS || !areTexts(list)) {
    throw new TemplateFault(name, 'is neither a text nor a list of texts');
  }
  return located(name, () => Pattern.ofTexts(list));
}

function pattern(source: unknown, name: string): Pattern {
  if (typeof source !== 'string') throw new TemplateFault(name, 'is not a regular expression');
  return located(name, () => Pattern.of(source));
}

function located<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof PatternError)) throw cause;
    throw new TemplateFault(name, `cannot be used: ${cause.message}`);
  }
}
