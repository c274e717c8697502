import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allMatches, Matcher } from '#lib/text/response/matcher.js';
import { Pattern } from '#lib/text/response/pattern.js';
import { randomIntegers } from '../fixtures.js';

const found = (source: string, text: string): string[] =>
  [...allMatches(Pattern.of(source), text)].map(({ begin, end }) => text.slice(begin, end));

const random = randomIntegers(3);
const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;

function randomPattern(depth: number): string {
  const atoms = ['a', 'b', '<', '.', '[ab]', '[^a<]', '\\w', '\\W', '\\s', 'ab'];
  const atom = (): string => (depth > 0 && random(3) === 0 ? `(?:${randomPattern(depth - 1)})` : pick(atoms));
  const quantified = (): string => {
    const body = atom();
    // Engines differ in how often they repeat what can match nothing.
    const canBeEmpty = new RegExp(`^${body}$`, 's').test('');
    return canBeEmpty ? body : body + pick(['', '', '', '*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{1,}?']);
  };
  const sequence = (): string => Array.from({ length: 1 + random(3) }, quantified).join('');
  return Array.from({ length: 1 + random(2) }, sequence).join('|');
}

test('what is found is what a regular expression finds in the whole text', () => {
  let matches = 0;
  for (let i = 0; i < 1000; i++) {
    const source = randomPattern(2);
    if (Pattern.of(source).canBeEmpty) continue;
    const text = Array.from({ length: random(12) }, () => pick(['a', 'b', '<', ' ', '\n', 'é'])).join('');
    const expected = text.match(new RegExp(python(source), 'gsu')) ?? [];
    assert.deepEqual(found(source, text), [...expected], `${source} in ${JSON.stringify(text)}`);
    matches += expected.length;
  }
  assert.ok(matches > 300, `only ${matches} matches`);
});

/** With the letters of all languages, as Python has them. */
const python = (source: string): string =>
  source.replaceAll('\\w', '[\\p{L}\\p{M}\\p{N}_]').replaceAll('\\W', '[^\\p{L}\\p{M}\\p{N}_]');

test('a match is known as soon as nothing that follows can change it, and no sooner', () => {
  const knownAfter = (source: string, text: string): number => {
    const matcher = new Matcher(Pattern.of(source));
    matcher.begin(0, true);
    for (let at = 0; at < text.length; at++) {
      matcher.step(text.charCodeAt(at), at);
      if (matcher.found) return at + 1;
    }
    return -1;
  };
  assert.equal(knownAfter('\\s*<a>', ' <a>x'), 4);
  assert.equal(knownAfter('<a>|<a>b', '<a>b'), 3);
  assert.equal(knownAfter('<a>b|<a>', '<a>x'), 4);
  assert.equal(knownAfter('a+', 'aab'), 3);
  assert.equal(knownAfter('a+?', 'aab'), 1);
});

test('named groups, places and escapes are those of Python', () => {
  const [match] = allMatches(Pattern.of('<(?P<name>[^>]+)>\\n?(?P<value>.*?)(?:\\x3c|\\u003d)'), '-<k>\nv=');
  assert.deepEqual(Object.fromEntries(match?.groups ?? []), {
    name: { begin: 2, end: 3 },
    value: { begin: 5, end: 6 },
  });
  assert.deepEqual(found('^a|b$', 'aabb'), ['a', 'b']);
  assert.deepEqual(found('a(?=b)', 'acab'), ['a']);
  assert.deepEqual(found('[\\]\\-x]|{|a{,2}b', ']-x{aab'), [']', '-', 'x', '{', 'aab']);
});

describe('a pattern is refused, with what is in it, for', () => {
  for (const [source, message] of [
    ['(a', /\( without its \)/],
    ['a)', /\) without its \(/],
    ['[a', /\[ without its \]/],
    ['*a', /\* with nothing to repeat/],
    ['a*+', /two quantifiers/],
    ['(?<!a)b', /\(\?<!/],
    ['(?!a)b', /\(\?!/],
    ['(?=a)b', /behind \(\?=/],
    ['(a)\\1', /\\1/],
    ['\\bword', /\\b/],
    ['a{501}', /at most 500/],
    ['(?:(?:a{99}){99}){99}', /too long/],
    ['[b-a]', /range/],
  ] as const) {
    test(source, () => {
      assert.throws(() => Pattern.of(source), message);
    });
  }
});

test('the time for a text grows with its length only, whatever the pattern', () => {
  const text = 'a'.repeat(20_000);
  assert.deepEqual(found('(?:(?:a*)*)*b', text), []); // a backtracking search would not come back
});
