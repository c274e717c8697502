import assert from 'node:assert/strict';

/** A JSON schema that a model of random weights can follow to its end. */
export const PERSON_SCHEMA = {
  type: 'object',
  properties: {
    name: { enum: ['Ada', 'Bo'] },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    tags: { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 2 },
  },
  required: ['name', 'age', 'tags'],
  additionalProperties: false,
  'x-guidance': { whitespace_flexible: false }, // a model of random weights likes white space
};

/** Throws unless `text` is what the schema allows. */
export function checkPerson(text: string): void {
  const { name, age, tags, ...others } = JSON.parse(text);
  assert.ok(PERSON_SCHEMA.properties.name.enum.includes(name), text);
  assert.ok(Number.isInteger(age) && age >= 0 && age <= 120, text);
  assert.ok(tags.length >= 1 && tags.length <= 2, text);
  assert.ok(
    tags.every((tag: unknown) => typeof tag === 'boolean'),
    text,
  );
  assert.deepEqual(others, {}, text);
}
