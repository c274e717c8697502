import { isJsonObject } from '../../base/json.js';
import { TemplateFault } from './template-fault.js';

/** Where a part of a call is found: written in the template, in a named group of the opening mark, or under these keys. */
export type Source = { readonly text: string } | { readonly group: string } | { readonly keys: readonly string[] };

/** Where the parts of a call are in what a region holds. */
export interface CallShape {
  /** The content is a list, and the keys are those of its items. */
  readonly isList: boolean;
  readonly name: Source;
  readonly arguments: { readonly keys: readonly string[] };
  readonly id: Source | undefined;
}

/**
 * Reads a field's `transform`, whose result has the form `{ id?, function: { name, arguments } }`.
 * @param groups the named groups of the opening mark.
 * @throws {TemplateFault}
 */
export function readCallShape(transform: unknown, isList: boolean, groups: readonly string[]): CallShape {
  const whole: Source = { keys: [] };
  const read = (value: unknown, name: string): Source => readSource(value, name, { isList, groups });
  const call = transform === undefined || typeof transform === 'string' ? undefined : transform;
  if (call !== undefined && !isJsonObject(call)) throw new TemplateFault('transform', 'is not an object');
  if (call && call.function === undefined) throw new TemplateFault('transform', 'has no function');
  const outer = transform === undefined ? whole : call ? undefined : read(transform, 'transform');
  const called = outer ? under(outer, 'function') : call?.function;
  const id = outer ? under(outer, 'id') : call?.id === undefined ? undefined : read(call.id, 'transform.id');
  if (isJsonObject(called) && !isSource(called)) {
    const args = read(called.arguments, 'transform.function.arguments');
    if (!('keys' in args)) throw new TemplateFault('transform.function.arguments', 'is not a part of the content');
    return { isList, name: read(called.name, 'transform.function.name'), arguments: args, id };
  }
  const inner = isSource(called) ? called : read(called, 'transform.function');
  const args = under(inner, 'arguments');
  return { isList, name: under(inner, 'name'), arguments: args, id: id ?? under(inner, 'id') };
}

const isSource = (value: unknown): value is Source => isJsonObject(value) && Array.isArray(value.keys);

function under(source: Source, key: string): { keys: readonly string[] } {
  if ('keys' in source) return { keys: [...source.keys, key] };
  throw new TemplateFault('transform.function', 'is not a part of the content');
}

const PLACEHOLDER = /^\{(\w+(?:\.\w+)*)\}$/;

function readSource(
  value: unknown,
  name: string,
  { isList, groups }: { isList: boolean; groups: readonly string[] },
): Source {
  if (typeof value !== 'string') throw new TemplateFault(name, 'is not a text');
  const path = PLACEHOLDER.exec(value)?.[1]?.split('.');
  if (!path) return { text: value };
  const [root, ...keys] = path as [string, ...string[]];
  if (isList) return groups.includes(root) ? { group: root } : { keys: path };
  if (root === 'content') return { keys };
  if (groups.includes(root) && keys.length === 0) return { group: root };
  throw new TemplateFault(name, `names ${root}, which is neither content nor a group of open_pattern`);
}
