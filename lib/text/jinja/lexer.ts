import { WHITESPACE } from './characters.js';
import { TemplateError } from './values.js';

export type TokenType =
  | 'text'
  | 'begin'
  | 'end'
  | 'open'
  | 'close'
  | 'name'
  | 'string'
  | 'int'
  | 'float'
  | 'operator'
  | 'eof';

export interface Token {
  /** `begin` and `end` are those of a statement, `open` and `close` those of an expression. */
  readonly type: TokenType;
  readonly value: string;
  readonly line: number;
}

const SPACE = new RegExp(`[${WHITESPACE}]`);
const OPERATORS = '** // == != >= <= + - / * % ~ [ ] ( ) { } > < = . : | ,'.split(' ');
const CLOSING: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };
const NUMBER =
  /(?:0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+)|\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:[eE][+-]?\d+(?:_\d+)*)?/y;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*/uy;
const DIRECTIVE = /\{[%{#]/g;
const RAW = /\{%[-+]?[^\S]*raw[^\S]*(?:-%\}|%\})/y;

/** Cuts a template into tokens, with the whitespace control of `trim_blocks` and `lstrip_blocks`. */
export function tokenize(template: string): Token[] {
  return new Lexer(template.replace(/\r\n?/g, '\n').replace(/\n$/, '')).tokens();
}

class Lexer {
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  #counted = 0; // up to where the lines are

  constructor(readonly source: string) {}

  tokens(): Token[] {
    let startsLine = true; // whether what was before is the begin of the template or ended with a newline
    while (this.#at < this.source.length) {
      DIRECTIVE.lastIndex = this.#at;
      const begin = DIRECTIVE.exec(this.source)?.index ?? this.source.length;
      const text = this.source.slice(this.#at, begin);
      if (begin === this.source.length) {
        this.#text(text);
        break;
      }
      const kind = this.source[begin + 1] as string;
      const sign = this.source[begin + 2];
      this.#text(sign === '-' ? trimEnd(text) : sign !== '+' && kind !== '{' ? trimLine(text, startsLine) : text);
      this.#at = begin + 2 + (sign === '-' || sign === '+' ? 1 : 0);
      if (kind === '#') this.#comment();
      else if (kind === '%' && this.#isRaw(begin)) this.#raw();
      else this.#inside(kind === '%');
      startsLine = this.source[this.#at - 1] === '\n';
    }
    this.#push('eof', '');
    return this.#tokens;
  }

  #push(type: TokenType, value: string): void {
    for (; this.#counted < this.#at; this.#counted++) if (this.source[this.#counted] === '\n') this.#line++;
    this.#tokens.push({ type, value, line: this.#line });
  }

  #text(value: string): void {
    if (value !== '') this.#push('text', value);
  }

  #fail(message: string): never {
    this.#push('eof', '');
    throw new TemplateError(`line ${this.#line}: ${message}`);
  }

  /** Behind `-` all whitespace goes, and without a sign one newline does. */
  #trimAfter(sign: string | undefined): void {
    if (sign === '-') while (SPACE.test(this.source[this.#at] ?? '')) this.#at++;
    else if (sign !== '+' && this.source[this.#at] === '\n') this.#at++;
  }

  #comment(): void {
    const end = this.source.indexOf('#}', this.#at);
    if (end < 0) this.#fail('a comment is not closed; expected #}');
    const sign = end > this.#at ? this.source[end - 1] : undefined;
    this.#at = end + 2;
    this.#trimAfter(sign);
  }

  #isRaw(begin: number): boolean {
    RAW.lastIndex = begin;
    const found = RAW.exec(this.source)?.[0];
    if (found === undefined) return false;
    this.#at = begin + found.length;
    if (found.endsWith('-%}')) this.#trimAfter('-');
    return true;
  }

  #raw(): void {
    const end = /\{%([-+]?)[^\S]*endraw[^\S]*([-+]?)%\}/g;
    end.lastIndex = this.#at;
    const found = end.exec(this.source);
    if (!found) this.#fail('raw is not closed; expected {% endraw %}');
    const text = this.source.slice(this.#at, found.index);
    this.#text(found[1] === '-' ? trimEnd(text) : found[1] === '+' ? text : trimLine(text, false));
    this.#at = end.lastIndex;
    this.#trimAfter(found[2]);
  }

  #inside(isStatement: boolean): void {
    this.#push(isStatement ? 'begin' : 'open', '');
    const close = isStatement ? '%}' : '}}';
    const opened: string[] = [];
    for (;;) {
      while (SPACE.test(this.source[this.#at] ?? '')) this.#at++;
      if (this.#at >= this.source.length) this.#fail(`the template ends inside ${isStatement ? '{% %}' : '{{ }}'}`);
      if (opened.length === 0) {
        const sign = this.source[this.#at] as string;
        const isSigned = sign === '-' || (sign === '+' && isStatement);
        if (this.source.startsWith(close, this.#at + (isSigned ? 1 : 0))) {
          this.#push(isStatement ? 'end' : 'close', '');
          this.#at += close.length + (isSigned ? 1 : 0);
          if (isStatement || sign === '-') this.#trimAfter(isSigned ? sign : undefined);
          return;
        }
      }
      this.#token(opened);
    }
  }

  #token(opened: string[]): void {
    const first = this.source[this.#at] as string;
    if (first === '"' || first === "'") this.#push('string', this.#string(first));
    else if (first >= '0' && first <= '9') this.#number();
    else {
      const name = this.#match(NAME);
      if (name !== undefined) this.#push('name', name);
      else this.#operator(opened);
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.source)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  /** In `a.0.1` the digits behind a dot are whole numbers. */
  #number(): void {
    const isItem = this.#tokens.at(-1)?.value === '.' && this.#tokens.at(-1)?.type === 'operator';
    const text = (this.#match(isItem ? /\d+/y : NUMBER) as string).replaceAll('_', '');
    this.#push(/^0[box]/i.test(text) || /^\d+$/.test(text) ? 'int' : 'float', text);
  }

  #operator(opened: string[]): void {
    const operator = OPERATORS.find((each) => this.source.startsWith(each, this.#at));
    if (operator === undefined) this.#fail(`unexpected character ${JSON.stringify(this.source[this.#at])}`);
    if ('([{'.includes(operator)) opened.push(operator);
    else if (operator in CLOSING && opened.pop() !== CLOSING[operator]) this.#fail(`unexpected '${operator}'`);
    this.#at += operator.length;
    this.#push('operator', operator);
  }

  #string(quote: string): string {
    const begin = this.#at + 1;
    let end = begin;
    while (end < this.source.length && this.source[end] !== quote) end += this.source[end] === '\\' ? 2 : 1;
    if (end >= this.source.length) this.#fail('a string is not closed');
    this.#at = end + 1;
    return unescaped(this.source.slice(begin, end));
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** What Python's escapes stand for; an unknown one stays as it is. */
const unescaped = (text: string): string =>
  text.replace(
    /\\(?:x([\da-f]{2})|u([\da-f]{4})|U([\da-f]{8})|([0-7]{1,3})|([\s\S]))/gi,
    (all, x?: string, u?: string, long?: string, octal?: string, letter = '') => {
      const hex = x ?? u ?? long;
      if (hex !== undefined) return character(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      return ESCAPES[letter] ?? all;
    },
  );

function character(code: number): string {
  if (code > 0x10ffff)
    throw new TemplateError(`a string holds the escape of character ${code}; expected at most 1114111`);
  return String.fromCodePoint(code);
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && SPACE.test(text[end - 1] as string)) end--;
  return text.slice(0, end);
}

/** Without the blanks of the last line, if it has nothing else. */
function trimLine(text: string, startsLine: boolean): string {
  const begin = text.lastIndexOf('\n') + 1;
  if (begin === 0 && !startsLine) return text;
  for (let i = begin; i < text.length; i++) if (!SPACE.test(text[i] as string)) return text;
  return text.slice(0, begin);
}
