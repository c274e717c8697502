import assert from 'node:assert/strict';
import type { GenerateOptions } from 'node-tensorrt-llm';
import { checkPerson, PERSON_SCHEMA } from '../tools/person-schema.js';
import type { Random } from './random.js';

type Guided = NonNullable<GenerateOptions['guided']>;
type Draw = (random: Random) => Guided;

const PAIRS = 'start: pair\npair: "(" pair ")" | /[a-c]/';

/** It takes some 30 ms to compile, so that a request can end before that. Each draw is another one, so that none is compiled already. */
function manyWords(random: Random): Guided {
  const first = random.integer(1000, 100_000);
  return { grammar: `start: ${Array.from({ length: 1900 }, (_, i) => `"${first + i}"`).join(' | ')}` };
}

const GUIDES: readonly [Draw, ...Draw[]] = [
  () => ({ json: true }),
  () => ({ jsonSchema: PERSON_SCHEMA }),
  () => ({ regex: '(yes|no), [0-9]{1,20}' }),
  () => ({ grammar: PAIRS }),
  manyWords,
];

export const drawGuided = (random: Random): GenerateOptions => ({
  guided: random.pick(GUIDES)(random),
  ignoreEos: false,
  temperature: random.pick([0, 0.7, 1]),
  maxTokens: random.integer(20, 100),
  n: random.pick([1, 1, 2]),
});

/** Throws unless `text` is a whole answer that `guided` allows. */
export function checkGuided({ json, jsonSchema, regex, grammar }: Guided, text: string): void {
  if (json) JSON.parse(text);
  if (regex !== undefined) assert.match(text, new RegExp(`^(${regex})$`));
  if (grammar === PAIRS) assert.match(text, /^\(*[a-c]\)*$/);
  else if (grammar !== undefined) assert.ok(grammar.includes(`"${text}"`), text);
  if (jsonSchema !== undefined) checkPerson(text);
}
