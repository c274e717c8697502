import type { Args, Expression, Filter } from './ast.js';
import type { Token, TokenType } from './lexer.js';
import { Float, int, TemplateError } from './values.js';

interface TupleOptions {
  /** Whether `a if b else c` is read. Default: true. */
  readonly withChoice?: boolean;
  /** Names that end it. Default: none. */
  readonly ends?: readonly string[];
}

const CONSTANTS = new Map<string, boolean | null>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);
const NO_ARGS: Args = { positional: [], named: [], list: undefined, fields: undefined };
const MARKUP_FILTERS = ['safe', 'escape', 'e', 'forceescape'];
const COMPARISONS = ['==', '!=', '<', '<=', '>', '>='];
const TEST_ARGUMENTS: readonly TokenType[] = ['name', 'string', 'int', 'float'];

/** The expressions of a template, by Jinja's precedence. */
export class ExpressionParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  readonly #names: string[] = []; // that expressions read, in their order
  readonly #markup = new WeakSet<Expression>();

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  protected get token(): Token {
    return this.#tokens[this.#at] as Token;
  }

  protected next(): Token {
    const { token } = this;
    if (token.type !== 'eof') this.#at++;
    return token;
  }

  protected is(type: TokenType, ...values: readonly string[]): boolean {
    return this.token.type === type && (values.length === 0 || values.includes(this.token.value));
  }

  protected take(type: TokenType, ...values: readonly string[]): boolean {
    const isThere = this.is(type, ...values);
    if (isThere) this.#at++;
    return isThere;
  }

  protected expect(type: TokenType, value?: string): Token {
    if (value === undefined ? this.is(type) : this.is(type, value)) return this.next();
    const names: Readonly<Record<string, string>> = { end: "'%}'", close: "'}}'", name: 'a name' };
    return this.fail(`expected ${value === undefined ? (names[type] ?? type) : `'${value}'`}`);
  }

  protected fail(message: string): never {
    const { type, value, line } = this.token;
    const found = type === 'eof' ? 'the end' : JSON.stringify(value || (type === 'end' ? '%}' : type));
    throw new TemplateError(`line ${line}: found ${found}; ${message}`);
  }

  protected namesSeen(): number {
    return this.#names.length;
  }

  protected namesSince(count: number): ReadonlySet<string> {
    return new Set(this.#names.slice(count));
  }

  /** One expression, or a tuple of those between commas. */
  protected tuple({ withChoice = true, ends = [] }: TupleOptions = {}, close?: string): Expression {
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.#endsTuple(close, ends)) {
      items.push(withChoice ? this.expression() : this.#or());
      if (!this.take('operator', ',')) break;
      isTuple = true;
    }
    const [first] = items;
    if (!isTuple && first) return first;
    if (!first && close === undefined) this.fail('expected an expression');
    return { type: 'tuple', items };
  }

  #endsTuple(close: string | undefined, ends: readonly string[]): boolean {
    if (close !== undefined && this.is('operator', close)) return true;
    return this.is('end') || this.is('close') || (ends.length > 0 && this.is('name', ...ends));
  }

  expression(): Expression {
    let value = this.#or();
    while (this.take('name', 'if')) {
      const test = this.#or();
      const no = this.take('name', 'else') ? this.expression() : undefined;
      value = { type: 'choice', test, yes: value, no };
    }
    return value;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.take('name', 'or')) left = { type: 'logic', operator: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.take('name', 'and')) left = { type: 'logic', operator: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (this.take('name', 'not')) return { type: 'unary', operator: 'not', operand: this.#not() };
    return this.#compare();
  }

  #compare(): Expression {
    const first = this.#sum();
    const rest: [string, Expression][] = [];
    for (;;) {
      if (this.is('operator', ...COMPARISONS)) rest.push([this.next().value, this.#sum()]);
      else if (this.take('name', 'in')) rest.push(['in', this.#sum()]);
      else if (this.is('name', 'not') && this.#isNext('name', 'in')) {
        this.#at += 2;
        rest.push(['not in', this.#sum()]);
      } else return rest.length === 0 ? first : { type: 'compare', first, rest };
    }
  }

  #isNext(type: TokenType, value: string): boolean {
    const token = this.#tokens[this.#at + 1];
    return token?.type === type && token.value === value;
  }

  #binary(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (this.is('operator', ...operators)) {
      left = { type: 'binary', operator: this.next().value, left, right: operand() };
    }
    return left;
  }

  #sum = (): Expression => {
    let left = this.#joined();
    while (this.is('operator', '+', '-')) {
      const operator = this.next().value;
      let right = this.#joined();
      const isMarkup = operator === '+' && (this.#isMarkup(left) || this.#isMarkup(right));
      if (isMarkup) [left, right] = [this.#escaped(left), this.#escaped(right)];
      left = { type: 'binary', operator, left, right };
      if (isMarkup) this.#markup.add(left);
    }
    return left;
  };

  /** What the filter `safe` marks as HTML; a text that is added to it is escaped. */
  #isMarkup = (node: Expression): boolean =>
    this.#markup.has(node) || (node.type === 'filter' && MARKUP_FILTERS.includes(node.filter.name));

  #escaped(operand: Expression): Expression {
    if (this.#isMarkup(operand)) return operand;
    return { type: 'filter', operand, filter: { name: 'escape', args: NO_ARGS } };
  }

  #joined = (): Expression => this.#binary(['~'], this.#product);
  #product = (): Expression => this.#binary(['*', '/', '//', '%'], this.#power);
  #power = (): Expression => this.#binary(['**'], () => this.#unary());

  #unary({ withFilters = true } = {}): Expression {
    let value: Expression;
    if (this.is('operator', '-', '+')) {
      const operator = this.next().value as '-' | '+';
      value = { type: 'unary', operator, operand: this.#unary({ withFilters: false }) };
    } else value = this.#primary();
    value = this.#postfix(value);
    return withFilters ? this.#filtered(value) : value;
  }

  #primary(): Expression {
    const { type, value } = this.token;
    if (type === 'name') {
      this.next();
      const constant = CONSTANTS.get(value);
      if (constant !== undefined) return { type: 'constant', value: constant };
      this.#names.push(value);
      return { type: 'name', name: value };
    }
    if (type === 'string') {
      let text = '';
      while (this.is('string')) text += this.next().value;
      return { type: 'constant', value: text };
    }
    if (type === 'int' || type === 'float') {
      this.next();
      return { type: 'constant', value: type === 'int' ? int(Number(value)) : new Float(Number(value)) };
    }
    if (this.take('operator', '(')) {
      const inner = this.tuple({}, ')');
      this.expect('operator', ')');
      return inner;
    }
    if (this.take('operator', '[')) return { type: 'list', items: this.#items(']', () => this.expression()) };
    if (this.take('operator', '{')) {
      const fields = this.#items('}', (): [Expression, Expression] => {
        const key = this.expression();
        this.expect('operator', ':');
        return [key, this.expression()];
      });
      return { type: 'dict', fields };
    }
    return this.fail('expected an expression');
  }

  #items<T>(close: string, read: () => T): T[] {
    const items: T[] = [];
    while (!this.take('operator', close)) {
      if (items.length > 0) this.expect('operator', ',');
      if (this.take('operator', close)) break;
      items.push(read());
    }
    return items;
  }

  #postfix(value: Expression): Expression {
    for (;;) {
      if (this.take('operator', '.')) value = this.#afterDot(value);
      else if (this.take('operator', '[')) value = this.#subscript(value);
      else if (this.is('operator', '(')) value = { type: 'call', callee: value, args: this.#args() };
      else return value;
    }
  }

  #afterDot(object: Expression): Expression {
    if (this.is('name')) return { type: 'attribute', object, name: this.next().value };
    const key = int(Number(this.expect('int').value));
    return { type: 'item', object, key: { type: 'constant', value: key } };
  }

  #subscript(object: Expression): Expression {
    const bounds: (Expression | undefined)[] = [undefined];
    while (!this.is('operator', ']') && bounds.length <= 3) {
      if (this.take('operator', ':')) bounds.push(undefined);
      else if (bounds.at(-1)) break;
      else bounds[bounds.length - 1] = this.expression();
    }
    this.expect('operator', ']');
    if (bounds.length > 1) return { type: 'slice', object, bounds };
    return { type: 'item', object, key: bounds[0] ?? this.fail('expected an index') };
  }

  #filtered(value: Expression): Expression {
    for (;;) {
      if (this.take('operator', '|')) value = { type: 'filter', operand: value, filter: this.filterCall() };
      else if (this.take('name', 'is')) value = this.#test(value);
      else if (this.is('operator', '(')) value = { type: 'call', callee: value, args: this.#args() };
      else return value;
    }
  }

  protected filterCall(): Filter {
    const name = this.#dottedName();
    return { name, args: this.is('operator', '(') ? this.#args() : NO_ARGS };
  }

  #dottedName(): string {
    let { value: name } = this.expect('name');
    while (this.take('operator', '.')) name += `.${this.expect('name').value}`;
    return name;
  }

  #test(operand: Expression): Expression {
    const isNegated = this.take('name', 'not');
    const name = this.#dottedName();
    let args = NO_ARGS;
    if (this.is('operator', '(')) args = this.#args();
    else if (
      (TEST_ARGUMENTS.includes(this.token.type) && !this.is('name', 'else', 'or', 'and', 'if', 'is', 'in', 'not')) ||
      this.is('operator', '[', '{')
    ) {
      args = { ...NO_ARGS, positional: [this.#postfix(this.#primary())] };
    }
    const test: Expression = { type: 'test', operand, name, args };
    return isNegated ? { type: 'unary', operator: 'not', operand: test } : test;
  }

  #args(): Args {
    this.expect('operator', '(');
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let list: Expression | undefined;
    let fields: Expression | undefined;
    this.#items(')', () => {
      if (this.take('operator', '*')) list = this.expression();
      else if (this.take('operator', '**')) fields = this.expression();
      else if (this.is('name') && this.#isNext('operator', '=')) {
        const { value: name } = this.next();
        this.next();
        named.push([name, this.expression()]);
      } else if (named.length > 0) this.fail('expected a named argument behind a named one');
      else positional.push(this.expression());
    });
    return { positional, named, list, fields };
  }
}
