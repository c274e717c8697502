import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';
import { type Member, readExports } from './declarations.js';
import { defaultIn, fieldsOf, readSections, type Section } from './markdown.js';

const sections = readSections('docs/api.md');
const exported = readExports();

const sectionOf = (name: string): Section | undefined =>
  sections.find(({ title }) => new RegExp(`^(class )?${name}(\\(|$)`).test(title));

/** What the headings call an object of a class. */
const OBJECTS: Readonly<Record<string, string>> = {
  LLM: 'llm',
  Generation: 'generation',
  Tokenizer: 'tokenizer',
  EngineBuild: 'building',
  LanguageModel: 'languageModel',
  TextEmbeddingModel: 'textEmbeddingModel',
  ChatNodeTensorRTLLM: 'chatModel',
  NodeTensorRTLLMEmbeddings: 'embeddings',
};

/** What the headings of a function say it returns: `### llm.generate(input, [options]) -> Promise<Result>`. */
const returnedByHeadings = (name: string): string[] =>
  sections
    .filter(({ title }) => title.startsWith(`${name}(`) || title.startsWith(`${name} ->`))
    .map(({ title }) => title.split(' -> ')[1] ?? 'void');

const returnedByTypes = (types: readonly string[]): string[] => types.map((type) => type.replace(/^\(.*\) => /, ''));

describe('docs/api.md', () => {
  test('has a section for each name that is exported', () => {
    assert.ok(exported.length > 30, 'lib/index.ts was not read');
    for (const { name } of exported) assert.ok(sectionOf(name), `${name} has no heading`);
  });

  test('names each capability in its table, and no other', () => {
    const cells = (sectionOf('Capabilities')?.text ?? '').match(/^\| `[^|]*/gm) ?? [];
    const named = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, capability]) => capability));
    const members = exported.find(({ name }) => name === 'Capabilities')?.members ?? [];
    assert.deepEqual(named.toSorted(), members.map(({ name }) => name).toSorted());
  });

  for (const { name, types, members } of exported) {
    if (name === 'Capabilities') continue;
    const section = sectionOf(name);
    const fields = section ? fieldsOf(section) : [];
    const fieldOf = (member: Member) => fields.find((field) => field.name === member.name);

    if (section?.title.startsWith(`${name}(`)) {
      test(`says what ${name}() returns`, () => {
        assert.deepEqual(returnedByHeadings(name), returnedByTypes(types));
      });
    }

    const values = types.join().match(/'[^']+'/g) ?? [];
    if (values.length > 0) {
      test(`names each value of ${name}`, () => {
        for (const value of values) assert.ok(section?.text.includes(value), value);
      });
    }

    if (members.length === 0) continue;
    test(`names each member of ${name}, with its type, and no other`, () => {
      for (const member of members) {
        const field = fieldOf(member);
        const heading = `${member.isStatic ? name : OBJECTS[name]}.${member.name}`;
        if (field && member.types.length === 0) continue; // its type is that of its value
        if (field) assert.deepEqual([field.type], member.types, `${name}.${member.name}`);
        else assert.deepEqual(returnedByHeadings(heading), returnedByTypes(member.types), `${name}.${member.name}`);
      }
      const names = members.map((member) => member.name);
      for (const field of fields) assert.ok(names.includes(field.name), `${name} has no ${field.name}`);
      for (const { title } of sections) {
        const [, object, member] = /^(\w+)\.(\w+)/.exec(title) ?? [];
        if (member && (object === name || object === OBJECTS[name])) assert.ok(names.includes(member), title);
      }
    });

    if (!name.endsWith('Options')) continue;
    test(`names the default of each of ${name}, the same as its docstring does`, () => {
      for (const member of members) {
        const expected = defaultIn(member.docstring);
        assert.ok(expected, `the docstring of ${name}.${member.name} names no default`);
        assert.equal(fieldOf(member)?.default, expected, `${name}.${member.name}`);
      }
    });
  }

  test('names defaults that give what leaving the option out gives', async () => {
    const llm = await LLM.load(await tinyEngine());
    try {
      const base = { temperature: 1, maxTokens: 100 };
      const answerOf = async (options: object) => (await llm.generate('Once', { ...base, ...options })).outputs;
      // One with a special token, which skipSpecialTokens would show, and an end token, which ignoreEos would pass.
      const hasBoth = async (seed: number) => {
        const [output] = await answerOf({ seed });
        return output?.tokens.includes(257) && output.finishReason === 'stop';
      };
      const found = await Promise.all(Array.from({ length: 256 }, (_, seed) => hasBoth(seed)));
      const seed = found.indexOf(true);
      assert.notEqual(seed, -1, 'no output has both');
      const expected = await answerOf({ seed });
      const answer = (options: object) => answerOf({ seed, ...options });
      const options = fieldsOf(sectionOf('GenerateOptions') as Section);
      const literals = options.flatMap(({ name, default: text = '' }) => {
        const [, value] = /^(?:the model's, else )?(true|false|\d+)(?:,.*)?$/.exec(text) ?? [];
        return value === undefined ? [] : [{ name, value: JSON.parse(value) as unknown }];
      });
      assert.ok(literals.length > 15, 'the defaults were not read');
      for (const { name, value } of literals) {
        assert.deepEqual(await answer({ [name]: value }), expected, `${name}: ${value}`);
      }
    } finally {
      await llm.close();
    }
  });
});
