import type { Args, Expression, Filter, ForNode, MacroNode, Statement, Target } from './ast.js';
import { type Costs, Output } from './costs.js';
import type { Runtime } from './filter.js';
import { applyFilter } from './filters.js';
import { LoopState } from './loop.js';
import { methodOf } from './methods.js';
import { binary, compare, unary } from './operators.js';
import { Scope } from './scope.js';
import { applyTest } from './tests.js';
import {
  Attributes,
  Callable,
  checkKey,
  defined,
  Float,
  isTrue,
  itemAt,
  iterate,
  type Named,
  Namespace,
  slice,
  TemplateError,
  toInt,
  toList,
  tupleOf,
  typeName,
  Undefined,
  type Value,
} from './values.js';
import { repr, str } from './write.js';

/** How a statement ended. */
type Flow = 'next' | 'break' | 'continue';

/** Runs a parsed template. All that takes longer for larger values is charged by their size. */
export class Interpreter implements Runtime {
  constructor(readonly costs: Costs) {}

  render(body: readonly Statement[], variables: ReadonlyMap<string, Value>): string {
    const out = new Output(this.costs);
    const scope = new Scope(undefined, this.costs);
    for (const [name, value] of variables) scope.set(name, value);
    this.#run(body, new Scope(scope, this.costs), out);
    return out.text;
  }

  #run(body: readonly Statement[], scope: Scope, out: Output): Flow {
    for (const statement of body) {
      this.costs.meter.charge(1);
      const flow = this.#statement(statement, scope, out);
      if (flow !== 'next') return flow;
    }
    return 'next';
  }

  #statement(statement: Statement, scope: Scope, out: Output): Flow {
    switch (statement.type) {
      case 'text':
        out.add(statement.text);
        return 'next';
      case 'output':
        out.add(str(this.#evaluate(statement.value, scope), this.costs));
        return 'next';
      case 'if':
        for (const [test, body] of statement.branches) {
          if (isTrue(this.#evaluate(test, scope))) return this.#run(body, scope, out);
        }
        return this.#run(statement.otherwise, scope, out);
      case 'for':
        this.#for(statement, this.#evaluate(statement.iterable, scope), scope, out, 0);
        return 'next';
      case 'set':
        this.#assign(statement.target, this.#evaluate(statement.value, scope), scope);
        return 'next';
      case 'capture': {
        const inner = new Output(this.costs);
        const flow = this.#run(statement.body, new Scope(scope, this.costs), inner);
        let value: Value = inner.text;
        for (const filter of statement.filters) value = this.#filter(value, filter, scope);
        if (statement.target) this.#assign(statement.target, value, scope);
        else out.add(str(value, this.costs));
        return flow;
      }
      case 'macro':
        scope.set(statement.name, this.#macro(statement, scope));
        return 'next';
      case 'call': {
        const caller = this.#macro(statement.macro, scope);
        out.add(str(this.#call(statement.call, scope, caller), this.costs));
        return 'next';
      }
      case 'with': {
        const inner = new Scope(scope, this.costs);
        for (const [target, value] of statement.values) this.#assign(target, this.#evaluate(value, scope), inner);
        return this.#run(statement.body, inner, out);
      }
      default:
        return statement.type;
    }
  }

  #for(node: ForNode, iterable: Value, scope: Scope, out: Output, depth: number): void {
    let items = toList(iterable, this.costs);
    const { filter } = node;
    if (filter) {
      items = items.filter((item) => {
        const inner = new Scope(scope, this.costs);
        this.#assign(node.target, item, inner);
        return isTrue(this.#evaluate(filter, inner));
      });
    }
    const loop = new LoopState(items, depth, this.costs);
    loop.recurse = node.isRecursive
      ? (deeper) => {
          const inner = new Output(this.costs);
          this.#for(node, deeper, scope, inner, depth + 1);
          return inner.text;
        }
      : undefined;
    for (; loop.index < items.length; loop.index++) {
      this.costs.meter.charge(1);
      const inner = new Scope(scope, this.costs);
      inner.set('loop', loop);
      this.#assign(node.target, items[loop.index] as Value, inner);
      if (this.#run(node.body, inner, out) === 'break') break;
    }
    if (items.length === 0) this.#run(node.otherwise, new Scope(scope, this.costs), out);
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.type === 'name') scope.set(target.name, value);
    else if (target.type === 'field') {
      const namespace = scope.get(target.namespace);
      if (!(namespace instanceof Namespace)) {
        throw new TemplateError('cannot assign attribute on non-namespace object');
      }
      namespace.fields.set(checkField(target.name), value);
    } else {
      const items = toList(value, this.costs);
      if (items.length !== target.items.length) {
        throw new TemplateError(`cannot unpack ${items.length} values; expected ${target.items.length}`);
      }
      for (const [i, inner] of target.items.entries()) this.#assign(inner, items[i] as Value, scope);
    }
  }

  #macro(node: MacroNode, scope: Scope): Callable {
    return new Callable(node.name, (args, named) => {
      const inner = new Scope(scope, this.costs);
      const { parameters, takesMore, takesMoreNamed } = node;
      const more = args.slice(parameters.length);
      if (more.length > 0 && !takesMore) {
        throw new TemplateError(`macro '${node.name}' takes not more than ${parameters.length} argument(s)`);
      }
      const rest = new Map<Value, Value>(named);
      const caller = rest.get('caller');
      inner.set('caller', caller ?? new Undefined('No caller defined'));
      if (!parameters.some(({ name }) => name === 'caller')) rest.delete('caller');
      for (const [i, { name, standard }] of parameters.entries()) {
        const given = i < args.length ? args[i] : rest.get(name);
        rest.delete(name);
        if (given !== undefined) inner.set(name, given);
        else if (standard) inner.set(name, this.#evaluate(standard, inner));
        else inner.set(name, new Undefined(`parameter '${name}' was not provided`));
      }
      if (rest.size > 0 && !takesMoreNamed) {
        const [[name]] = [...rest] as [[Value, Value]];
        throw new TemplateError(`macro '${node.name}' takes no keyword argument '${name}'`);
      }
      inner.set('varargs', tupleOf(...more));
      inner.set('kwargs', rest);
      const out = new Output(this.costs);
      this.#run(node.body, inner, out);
      return out.text;
    });
  }

  #evaluate(node: Expression, scope: Scope): Value {
    this.costs.meter.charge(1);
    switch (node.type) {
      case 'constant':
        return node.value;
      case 'name':
        return scope.get(node.name);
      case 'list':
        return node.items.map((item) => this.#evaluate(item, scope));
      case 'tuple':
        return tupleOf(...node.items.map((item) => this.#evaluate(item, scope)));
      case 'dict': {
        const fields = new Map<Value, Value>();
        for (const [keyNode, value] of node.fields) {
          const key = checkKey(this.#evaluate(keyNode, scope));
          this.costs.key(key, fields.size);
          fields.set(key, this.#evaluate(value, scope));
        }
        return fields;
      }
      case 'attribute':
        return this.#attribute(this.#evaluate(node.object, scope), node.name);
      case 'item':
        return this.#item(this.#evaluate(node.object, scope), this.#evaluate(node.key, scope));
      case 'slice':
        return this.#slice(this.#evaluate(node.object, scope), node.bounds, scope);
      case 'call':
        return this.#call(node, scope);
      case 'filter':
        return this.#filter(this.#evaluate(node.operand, scope), node.filter, scope);
      case 'test': {
        const operand = this.#evaluate(node.operand, scope);
        const [args] = this.#arguments(node.args, scope);
        return applyTest(node.name, operand, args, this.costs);
      }
      case 'unary': {
        const operand = this.#evaluate(node.operand, scope);
        return node.operator === 'not' ? !isTrue(operand) : unary(node.operator, operand);
      }
      case 'binary': {
        const left = this.#evaluate(node.left, scope);
        return binary(node.operator, left, this.#evaluate(node.right, scope), this.costs);
      }
      case 'logic': {
        const left = this.#evaluate(node.left, scope);
        return isTrue(left) === (node.operator === 'or') ? left : this.#evaluate(node.right, scope);
      }
      case 'compare': {
        let left = this.#evaluate(node.first, scope);
        for (const [operator, operand] of node.rest) {
          const right = this.#evaluate(operand, scope);
          if (!compare(operator, left, right, this.costs)) return false;
          left = right;
        }
        return true;
      }
      case 'choice': {
        if (isTrue(this.#evaluate(node.test, scope))) return this.#evaluate(node.yes, scope);
        const hint = 'the inline if-expression evaluated to false and no else section was defined.';
        return node.no ? this.#evaluate(node.no, scope) : new Undefined(hint);
      }
    }
  }

  /** `a.b`: what Python finds as an attribute, else the item of a dictionary. */
  #attribute(object: Value, name: string): Value {
    defined(object);
    let found = this.#member(object, name);
    if (found === undefined) found = this.#field(object, name);
    return found === undefined ? missing(object, name, this.costs) : found;
  }

  getAttribute(object: Value, name: string): Value {
    const found = this.#member(defined(object), name);
    return found === undefined ? missing(object, name, this.costs) : found;
  }

  #member(object: Value, name: string): Value | undefined {
    if (name.startsWith('_')) return undefined;
    return object instanceof Attributes ? object.attribute(name) : methodOf(object, name, this.costs);
  }

  #field(object: Value, key: Value): Value | undefined {
    if (object instanceof Map) {
      this.costs.key(key, object.size);
      return object.get(key);
    }
    const isList = typeof object === 'string' || Array.isArray(object);
    if (!isList || (typeof key !== 'number' && typeof key !== 'boolean')) return undefined;
    return itemAt(object, Number(key), this.costs);
  }

  /** `a[b]`: the item, else the attribute of that name. */
  #item(object: Value, key: Value): Value {
    defined(object);
    let found = this.#field(object, key instanceof Float ? checkKey(key) : key);
    if (found === undefined && typeof key === 'string') found = this.#member(object, key);
    return found === undefined ? missing(object, key, this.costs) : found;
  }

  getItem(object: Value, key: Value): Value {
    return this.#item(object, key);
  }

  #slice(object: Value, bounds: readonly (Expression | undefined)[], scope: Scope): Value {
    defined(object);
    const values = bounds.map((bound) => {
      const value = bound ? this.#evaluate(bound, scope) : null;
      return value === null ? null : toInt(value, 'an index');
    });
    if (typeof object === 'string' || Array.isArray(object)) return slice(object, values, this.costs);
    throw new TemplateError(`'${typeName(object)}' object is not subscriptable`);
  }

  #arguments(args: Args, scope: Scope): [args: Value[], named: Map<string, Value>] {
    const values = args.positional.map((arg) => this.#evaluate(arg, scope));
    if (args.list) values.push(...iterate(this.#evaluate(args.list, scope), this.costs));
    const named = new Map<string, Value>();
    for (const [name, value] of args.named) named.set(name, this.#evaluate(value, scope));
    const fields = args.fields && this.#evaluate(args.fields, scope);
    if (fields instanceof Map) for (const [name, value] of fields) named.set(str(name, this.costs), value);
    else if (fields !== undefined) throw new TemplateError(`argument after ** is ${typeName(fields)}; expected a dict`);
    this.costs.items(values.length + named.size);
    return [values, named];
  }

  #call(node: Expression, scope: Scope, caller?: Callable): Value {
    if (node.type !== 'call') throw new TemplateError('expected a call');
    const callee = this.#evaluate(node.callee, scope);
    const [args, named] = this.#arguments(node.args, scope);
    if (caller) named.set('caller', caller);
    return this.call(callee, args, named);
  }

  call(callee: Value, args: readonly Value[], named: Named): Value {
    if (callee instanceof Callable) return callee.call(args, named);
    const recurse = callee instanceof LoopState ? callee.recurse : undefined;
    if (recurse && args.length === 1) return recurse(args[0] as Value);
    throw new TemplateError(`'${typeName(defined(callee))}' object is not callable`);
  }

  filter(name: string, value: Value, args: readonly Value[], named: Named): Value {
    return applyFilter(this, name, value, args, named);
  }

  #filter(value: Value, { name, args }: Filter, scope: Scope): Value {
    const [values, named] = this.#arguments(args, scope);
    return this.filter(name, value, values, named);
  }
}

/** A name with an underscore in front is refused, as by transformers. */
export function checkField(name: string): string {
  if (!name.startsWith('_')) return name;
  throw new TemplateError(`namespace has no place for ${name}; expected a name without an underscore in front`);
}

function missing(object: Value, key: Value, costs: Costs): Undefined {
  if (object instanceof Undefined) return object;
  const owner = object === null ? 'None' : `${typeName(object)} object`;
  return new Undefined(
    typeof key === 'string'
      ? `'${owner}' has no attribute '${key.slice(0, 100)}'`
      : `${owner} has no element ${isTrue(key) || key === 0 ? repr(key, costs) : str(key, costs)}`,
  );
}
