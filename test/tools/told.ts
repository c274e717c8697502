import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_ROOT } from './project.js';

/** What of a struct of the contract was set: fields that are null or 0 are left out. */
export type Told = { readonly [field: string]: unknown };

interface Field {
  /** How native/isolation writes it: Values, Array, Text, Texts, Group, Groups, or Fields, whose fields stand in its place. */
  readonly how: string;
  readonly name: string;
}

const read = (path: string): string => readFileSync(join(PROJECT_ROOT, 'native', path), 'utf8');

const HELPERS: Readonly<Record<string, string>> = { Needed: 'Array', NeededTexts: 'Texts' };

/** The fields of each struct, in the order they are written. */
const FIELDS = new Map<string, Field[]>();
for (const file of ['type_fields.h', 'config_fields.h', 'request_fields.h']) {
  for (const [, struct, body] of read(`isolation/${file}`).matchAll(/\(Wire& wire, (\w+)& .*\) \{\n([\s\S]*?)\n\}/g)) {
    const statements = (body as string).matchAll(/(?:wire\.(\w+)|(Needed|NeededTexts|Fields))\(([^;]+)\);/g);
    const fields = [...statements].flatMap(([, how = '', helper, list]) => {
      const names = (list as string).split(/,\s*/).map((each) => each.replace(/^.*[.&]/, ''));
      if (helper) return [{ how: HELPERS[helper] ?? helper, name: names[1] as string }];
      if (how === 'Need') return [];
      return (how === 'Values' ? names : names.slice(0, 1)).map((name) => ({ how, name }));
    });
    FIELDS.set(struct as string, fields);
  }
}

/** The struct of each field that is one, by `struct.field`. */
const STRUCTS = new Map<string, string>();
/** The names of the fields of a struct of the contract. */
export const MEMBERS = new Map<string, string[]>();
for (const file of ['types.h', 'config.h', 'request.h']) {
  for (const [, struct, body] of read(`executor/${file}`).matchAll(/^typedef struct (\w+) \{\n([\s\S]*?)^\}/gm)) {
    const members = [
      ...(body as string).matchAll(/^ {2}(?:const )?(\w+)(?: const)?[* ]+(?:const\* )?(\w+)(?:\[\d+\])?;/gm),
    ];
    for (const [, type, name] of members) STRUCTS.set(`${struct}.${name}`, type as string);
    MEMBERS.set(
      struct as string,
      members.map(([, , name]) => name as string),
    );
  }
}

/** A line of the scripted executor that tells what it was given, with the names of the fields put back. */
export function readTold(struct: string, json: string): Told {
  const [values] = JSON.parse(`[${json}]`) as [unknown[]];
  return nameFields(struct, [...values]);
}

function nameFields(struct: string, values: unknown[]): Told {
  const fields = FIELDS.get(struct);
  if (!fields) throw new Error(`no fields of ${struct} were found`);
  const named = fields.map(({ how, name }): [string, unknown] => {
    const type = STRUCTS.get(`${struct}.${name}`) ?? '';
    if (how === 'Fields') {
      const inner = nameFields(type, values);
      return [name, Object.keys(inner).length === 0 ? null : inner];
    }
    const value = values.shift();
    if (value === null) return [name, null];
    if (how === 'Group') return [name, nameFields(type, value as unknown[])];
    if (how === 'Groups') return [name, (value as unknown[][]).map((each) => nameFields(type, each))];
    return [name, value];
  });
  return Object.fromEntries(named.filter(([, value]) => value !== null && value !== 0));
}

const BITS = ['types.h', 'config.h', 'request.h'].flatMap((file) =>
  [...read(`executor/${file}`).matchAll(/^ {2}([A-Z_0-9]+) = 1u << (\d+),/gm)].map(
    ([, name = '', bit]) => [name.toLowerCase(), 2 ** Number(bit)] as const,
  ),
);

/** The presence bit of a field, `kv_cache.max_bytes`; 0 where it has none. */
export function presenceBit(field: string): number {
  const name = field.replace('.', '_');
  const named = BITS.filter(([bit]) => name.startsWith(bit)).sort(([a], [b]) => b.length - a.length);
  return named[0]?.[1] ?? 0;
}
