/** What is wrong with a regular expression. */
export class PatternError extends Error {}

export type Node =
  | { readonly kind: 'unit'; readonly takes: (unit: number) => boolean }
  | { readonly kind: 'sequence'; readonly items: readonly Node[] }
  | { readonly kind: 'choice'; readonly options: readonly Node[] }
  | {
      readonly kind: 'repeat';
      readonly body: Node;
      readonly min: number;
      readonly max: number;
      readonly isGreedy: boolean;
    }
  | { readonly kind: 'group'; readonly name: string; readonly body: Node }
  | { readonly kind: 'ahead'; readonly body: Node }
  | { readonly kind: 'begin' | 'end' };

type Units = (unit: number) => boolean;

/**
 * Reads a regular expression in Python's syntax. What needs to look back, or ahead other than at the end of the expression, is
 * refused: each character is looked at once.
 * @throws {PatternError}
 */
export const parsePattern = (source: string): Node => new Parser(source).parse();

const MAX_NESTING = 100;
const MAX_REPEAT = 500;

const isWord: Units = (unit) => /[\p{L}\p{M}\p{N}_]/u.test(String.fromCharCode(unit));
const isDigit: Units = (unit) => /\p{Nd}/u.test(String.fromCharCode(unit));
const isSpace: Units = (unit) =>
  (unit >= 0x1c && unit <= 0x1f) || unit === 0x85 || /\s/.test(String.fromCharCode(unit));
const not =
  (takes: Units): Units =>
  (unit) =>
    !takes(unit);

const CLASSES: Readonly<Record<string, Units>> = {
  w: isWord,
  W: not(isWord),
  d: isDigit,
  D: not(isDigit),
  s: isSpace,
  S: not(isSpace),
};
const CONTROLS: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f', v: '\v', a: '\x07', 0: '\0' };
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4 };

class Parser {
  #at = 0;
  #depth = 0;

  constructor(readonly source: string) {}

  parse(): Node {
    const node = this.#choice();
    if (this.#at < this.source.length) throw new PatternError('it has a ) without its (');
    return node;
  }

  #peek(text: string): boolean {
    return this.source.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#at += text.length;
    return true;
  }

  #choice(): Node {
    if (++this.#depth > MAX_NESTING) throw new PatternError('it is nested too deeply');
    const options = [this.#sequence()];
    while (this.#take('|')) options.push(this.#sequence());
    this.#depth--;
    return options.length === 1 ? (options[0] as Node) : { kind: 'choice', options };
  }

  #sequence(): Node {
    const items: Node[] = [];
    while (this.#at < this.source.length && !this.#peek('|') && !this.#peek(')')) {
      if (items.at(-1)?.kind === 'ahead') throw new PatternError('it has something behind (?=...)');
      items.push(this.#quantified(this.#atom()));
    }
    return { kind: 'sequence', items };
  }

  #atom(): Node {
    if (this.#take('(')) return this.#group();
    if (this.#take('[')) return { kind: 'unit', takes: this.#set() };
    if (this.#take('.')) return { kind: 'unit', takes: () => true };
    if (this.#take('^') || this.#take('\\A')) return { kind: 'begin' };
    if (this.#take('$') || this.#take('\\Z') || this.#take('\\z')) return { kind: 'end' };
    const isQuantifier = /[*+?]/.test(this.source[this.#at] as string);
    if (isQuantifier) throw new PatternError(`it has ${this.source[this.#at]} with nothing to repeat`);
    const found = this.#character();
    return { kind: 'unit', takes: typeof found === 'number' ? (unit) => unit === found : found };
  }

  #group(): Node {
    let wrap = (body: Node): Node => body;
    const [, name] = /^\?P?<(\w+)>/.exec(this.source.slice(this.#at, this.#at + 100)) ?? [];
    if (name !== undefined) {
      this.#at = this.source.indexOf('>', this.#at) + 1;
      wrap = (body) => ({ kind: 'group', name, body });
    } else if (this.#take('?=')) {
      if (this.#depth > 1) throw new PatternError('it has (?=...) inside of a group');
      wrap = (body) => ({ kind: 'ahead', body });
    } else if (!this.#take('?:') && this.#peek('?')) {
      throw new PatternError(`it has (${this.source.slice(this.#at, this.#at + 3)}`);
    }
    const node = wrap(this.#choice());
    if (!this.#take(')')) throw new PatternError('it has a ( without its )');
    return node;
  }

  #quantified(body: Node): Node {
    const [text, least, comma, most] = /^\{(\d*)(,?)(\d*)\}/.exec(this.source.slice(this.#at, this.#at + 20)) ?? [];
    let [min, max] = [0, Number.POSITIVE_INFINITY];
    if (text !== undefined && (least !== '' || most !== '')) {
      this.#at += text.length;
      min = Number(least);
      if (most !== '') max = Number(most);
      else if (comma === '') max = min;
    } else if (this.#take('+')) min = 1;
    else if (this.#take('?')) max = 1;
    else if (!this.#take('*')) return body;
    if (body.kind === 'ahead') throw new PatternError('it repeats (?=...)');
    if (min > max || min > MAX_REPEAT || (max > MAX_REPEAT && max !== Number.POSITIVE_INFINITY)) {
      throw new PatternError(`it repeats from ${min} to ${max} times; expected at most ${MAX_REPEAT}`);
    }
    const isGreedy = !this.#take('?');
    if (this.#peek('+') || this.#peek('*')) throw new PatternError('it has two quantifiers in a row');
    return { kind: 'repeat', body, min, max, isGreedy };
  }

  /** Behind the opening bracket. */
  #set(): Units {
    const isNegated = this.#take('^');
    const parts: Units[] = [];
    for (let isFirst = true; isFirst || !this.#peek(']'); isFirst = false) {
      if (this.#at >= this.source.length) throw new PatternError('it has a [ without its ]');
      const low = this.#character();
      const isRange = this.#peek('-') && !this.#peek('-]');
      if (typeof low !== 'number' || !isRange) {
        parts.push(typeof low === 'number' ? (unit) => unit === low : low);
        continue;
      }
      this.#at++;
      const high = this.#character();
      if (typeof high !== 'number' || high < low) throw new PatternError('it has a range that is none');
      parts.push((unit) => unit >= low && unit <= high);
    }
    this.#at++;
    const takes: Units = (unit) => parts.some((part) => part(unit));
    return isNegated ? not(takes) : takes;
  }

  /** A UTF-16 unit, or a class of them. */
  #character(): number | Units {
    if (!this.#take('\\')) return this.source.charCodeAt(this.#at++);
    const name = this.source[this.#at++];
    if (name === undefined) throw new PatternError('it ends in \\');
    const known = CLASSES[name];
    if (known) return known;
    if (Object.hasOwn(CONTROLS, name)) return (CONTROLS[name] as string).charCodeAt(0);
    const digits = HEX_DIGITS[name];
    if (digits !== undefined) {
      const hex = this.source.slice(this.#at, this.#at + digits);
      if (hex.length < digits || !/^[\da-f]+$/i.test(hex))
        throw new PatternError(`it has \\${name} without its digits`);
      this.#at += digits;
      return Number.parseInt(hex, 16);
    }
    if (/[\da-z]/i.test(name)) throw new PatternError(`it has \\${name}`);
    return name.charCodeAt(0);
  }
}
