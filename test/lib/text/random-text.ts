import type { randomIntegers } from './fixtures.js';

type Random = ReturnType<typeof randomIntegers>;

const WORDS =
  "the The THE quick fox Hello world function return null internationalization don't I'll we've IT'S I'D naïve café Straße ſtraße façade Ελλάδα Москва שלום مرحبا हिन्दी ไทย".split(
    ' ',
  );
const SPACES = ['  ', '\n', '\r\n', '\t', '\n\n', ' \n', '\n ', '\u00a0', '\u3000', '\u2028', '\u0085', '\v', '\u200b'];
const NUMBERS = ['٣٤٥', '½', '²³', 'Ⅷ', '①②', '७', '𝟘𝟙', '１２', '〇'];
const EMOJI = ['😀', '👨‍👩‍👧‍👦', '🏳️‍🌈', '👍🏽', '🇩🇪', '❤️', '™'];
const MARKS = [
  'e\u0301',
  'a\u0308\u0323',
  '\u0301',
  '\u212b',
  '\u1e9b\u0323',
  'ﬁ',
  '\u0344',
  'か\u3099',
  '\u1100\u1161\u11a8',
];
const APOSTROPHES = ["'s", "'S", "'ll", "'LL", "'re", "'ſ", 'K', "'VE", "'d", '▁', '▁▁a', ' ▁'];
const REPEATED = ['a', 'A', '=', '\n', '!', '日', 'ab', '\u0301', '\u200d', ' ', '1'];

const between =
  (first: number, last: number) =>
  (random: Random): string =>
    String.fromCodePoint(first + random(last - first + 1));
const oneOf =
  (texts: readonly string[]) =>
  (random: Random): string =>
    texts[random(texts.length)] as string;

/** How often each is taken, and what it gives. */
const PARTS: readonly [weight: number, make: (random: Random) => string][] = [
  [20, oneOf(WORDS)],
  [20, () => ' '],
  [4, oneOf(SPACES)],
  [1, (random) => ' '.repeat(1 + random(40))],
  [6, (random) => String(random(10 ** (1 + random(8))))],
  [2, oneOf(NUMBERS)],
  [8, between(0x21, 0x7e)],
  [6, between(0x4e00, 0x9fff)],
  [2, (random) => Array.from({ length: 40 }, () => between(0x4e00, 0x9fa5)(random)).join('')],
  [3, between(0xac00, 0xd7a3)],
  [2, between(0x1100, 0x11ff)],
  [3, between(0x3041, 0x30ff)],
  [3, between(0x400, 0x4ff)],
  [3, between(0x590, 0x6ff)],
  [2, between(0x900, 0xe7f)],
  [3, oneOf(EMOJI)],
  [3, oneOf(MARKS)],
  [2, between(0xe000, 0xf8ff)],
  [2, between(0, 0x2ff)],
  [1, between(0x10000, 0x10ffff)],
  [2, between(0x2000, 0x2bff)],
  [1, between(0xff00, 0xffef)],
  [2, oneOf(APOSTROPHES)],
  [1, (random) => oneOf(REPEATED)(random).repeat(1 + random(200))],
  [1, (random) => Array.from({ length: 80 }, () => between(0x61, 0x66)(random)).join('')],
];
const WEIGHT = PARTS.reduce((sum, [weight]) => sum + weight, 0);

function part(random: Random): string {
  let at = random(WEIGHT);
  for (const [weight, make] of PARTS) {
    if (at < weight) return make(random);
    at -= weight;
  }
  return '';
}

/** A text of all kinds of characters, with the added tokens whole, cut off or between spaces. */
export function randomText(random: Random, addedTokens: readonly string[]): string {
  let text = '';
  for (let parts = 1 + random(random(4) === 0 ? 60 : 12); parts > 0; parts--) {
    if (addedTokens.length === 0 || random(12) > 0) {
      text += part(random);
      continue;
    }
    const token = oneOf(addedTokens)(random);
    const written = random(4) === 0 ? token.slice(0, 1 + random(token.length)) : token;
    text += random(4) === 0 ? ` ${written} ` : written;
  }
  return text.replace(LONE_SURROGATE, '\ufffd');
}

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
