import type { Expression, Filter, ForNode, MacroNode, Parameter, Statement, Target } from './ast.js';
import { ExpressionParser } from './expression-parser.js';
import { tokenize } from './lexer.js';

/** @throws {TemplateError} naming the line. */
export const parse = (source: string): readonly Statement[] => new Parser(tokenize(source)).template();

class Parser extends ExpressionParser {
  template(): readonly Statement[] {
    return this.#body([]);
  }

  /** Up to a statement that has one of these names, which is left to the caller; without names, to the end. */
  #body(ends: readonly string[]): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      const { type, value } = this.next();
      if (type === 'text') statements.push({ type: 'text', text: value });
      else if (type === 'open') {
        statements.push({ type: 'output', value: this.tuple() });
        this.expect('close');
      } else if (type === 'begin') {
        if (ends.length > 0 && this.is('name', ...ends)) return statements;
        statements.push(...this.#statement());
      } else if (type === 'eof' && ends.length === 0) return statements;
      else this.fail(`the template ends here; expected {% ${ends.join(' %} or {% ')} %}`);
    }
  }

  /** What stands between here and the statement's end, which has no more than its name. */
  #bodyUntil(end: string): Statement[] {
    this.expect('end');
    const body = this.#body([end]);
    this.next();
    if (this.is('name')) this.next(); // {% endmacro name %}
    this.expect('end');
    return body;
  }

  #statement(): Statement[] {
    const { value: name } = this.expect('name');
    switch (name) {
      case 'if':
        return [this.#if()];
      case 'for':
        return [this.#for()];
      case 'set':
        return [this.#set()];
      case 'macro':
        return [this.#macro(this.expect('name').value, 'endmacro')];
      case 'call':
        return [this.#call()];
      case 'filter':
        return [{ type: 'capture', target: undefined, filters: this.#filters(), body: this.#bodyUntil('endfilter') }];
      case 'with':
        return [this.#with()];
      case 'generation': // of transformers: what the assistant wrote
        return [{ type: 'with', values: [], body: this.#bodyUntil('endgeneration') }];
      case 'print': {
        const value = this.tuple();
        this.expect('end');
        return [{ type: 'output', value }];
      }
      case 'break':
      case 'continue':
        this.expect('end');
        return [{ type: name }];
      default:
        return this.fail(`unknown or unsupported statement '${name}'`);
    }
  }

  #if(): Statement {
    const branches: [Expression, Statement[]][] = [];
    for (;;) {
      const test = this.tuple({ withChoice: false });
      this.expect('end');
      branches.push([test, this.#body(['elif', 'else', 'endif'])]);
      const { value } = this.next();
      if (value === 'elif') continue;
      const otherwise = value === 'else' ? this.#bodyUntil('endif') : [];
      if (value === 'endif') this.expect('end');
      return { type: 'if', branches, otherwise };
    }
  }

  #for(): ForNode {
    const target = this.#target();
    this.expect('name', 'in');
    const iterable = this.tuple({ withChoice: false, ends: ['recursive'] });
    const filter = this.take('name', 'if') ? this.expression() : undefined;
    const isRecursive = this.take('name', 'recursive');
    this.expect('end');
    const body = this.#body(['endfor', 'else']);
    const hasElse = this.next().value === 'else';
    const otherwise = hasElse ? this.#bodyUntil('endfor') : [];
    if (!hasElse) this.expect('end');
    return { type: 'for', target, iterable, filter, body, otherwise, isRecursive };
  }

  #target(): Target {
    const items: Target[] = [];
    let isTuple = false;
    do {
      if (isTuple && !this.is('name') && !this.is('operator', '(')) break;
      if (this.take('operator', '(')) {
        items.push(this.#target());
        this.expect('operator', ')');
      } else items.push(this.#simpleTarget());
      if (!this.is('operator', ',')) break;
      isTuple = true;
    } while (this.take('operator', ','));
    return isTuple ? { type: 'tuple', items } : (items[0] as Target);
  }

  #simpleTarget(): Target {
    const name = this.expect('name').value;
    if (!this.take('operator', '.')) return { type: 'name', name };
    return { type: 'field', namespace: name, name: this.expect('name').value };
  }

  #set(): Statement {
    const target = this.#target();
    if (this.take('operator', '=')) {
      const value = this.tuple();
      this.expect('end');
      return { type: 'set', target, value };
    }
    const filters = this.is('operator', '|') ? this.#filters() : [];
    return { type: 'capture', target, filters, body: this.#bodyUntil('endset') };
  }

  #filters(): Filter[] {
    const filters: Filter[] = [];
    this.take('operator', '|');
    do filters.push(this.filterCall());
    while (this.take('operator', '|'));
    return filters;
  }

  #macro(name: string, end: string): MacroNode {
    const parameters = this.is('operator', '(') ? this.#parameters() : [];
    return this.#macroOf(name, parameters, end);
  }

  #macroOf(name: string, parameters: readonly Parameter[], end: string): MacroNode {
    const known = this.namesSeen();
    const body = this.#bodyUntil(end);
    const names = this.namesSince(known);
    return {
      type: 'macro',
      name,
      parameters,
      body,
      takesMore: names.has('varargs'),
      takesMoreNamed: names.has('kwargs'),
    };
  }

  #parameters(): Parameter[] {
    const parameters: Parameter[] = [];
    this.expect('operator', '(');
    while (!this.take('operator', ')')) {
      if (parameters.length > 0) this.expect('operator', ',');
      const { value: name } = this.expect('name');
      parameters.push({ name, standard: this.take('operator', '=') ? this.expression() : undefined });
    }
    return parameters;
  }

  #call(): Statement {
    const parameters = this.is('operator', '(') ? this.#parameters() : [];
    const call = this.expression();
    if (call.type !== 'call') this.fail('expected a call');
    return { type: 'call', macro: this.#macroOf('caller', parameters, 'endcall'), call };
  }

  #with(): Statement {
    const values: [Target, Expression][] = [];
    while (!this.is('end')) {
      if (values.length > 0) this.expect('operator', ',');
      const target = this.#target();
      this.expect('operator', '=');
      values.push([target, this.expression()]);
    }
    return { type: 'with', values, body: this.#bodyUntil('endwith') };
  }
}
