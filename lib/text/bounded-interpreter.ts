import { type Environment, Interpreter } from '@huggingface/jinja';
import { countOf, TemplateCosts } from './template-costs.js';
import type { TemplateMeter } from './template-meter.js';
import {
  ArrayValue,
  FunctionValue,
  IntegerValue,
  ObjectValue,
  StringValue,
  UndefinedValue,
  type Value,
} from './template-values.js';

/** A node of the parsed template, as far as it is read here; what a node has depends on its type. */
interface Node {
  readonly type: string;
  readonly args: readonly Node[];
  readonly callee: Node;
  readonly computed: boolean;
  readonly filter: Node;
  readonly iterable: Node;
  readonly left: Node;
  readonly negate: boolean;
  readonly lhs: Node;
  readonly object: Node;
  readonly operand: Node;
  readonly operator: { readonly value: string };
  readonly property: Node;
  readonly right: Node;
  readonly test: Node;
  readonly value: unknown;
}

/** The methods of the library's interpreter that do the work; its types hide them. The package's version is pinned. */
interface OpenInterpreter {
  run(program: unknown): Value;
  evaluate(node: Node | undefined, scope: Environment): Value;
  evaluateBlock(nodes: readonly Node[], scope: Environment): Value;
  evaluateArguments(nodes: readonly Node[], scope: Environment): [args: Value[], named: Map<string, Value>];
  evaluateBinaryExpression(node: Node, scope: Environment): Value;
  evaluateCallStatement(node: Node, scope: Environment): Value;
  evaluateFor(node: Node, scope: Environment): Value;
  evaluateIdentifier(node: Node, scope: Environment): Value;
  evaluateMacro(node: Node, scope: Environment): Value;
  evaluateMemberExpression(node: Node, scope: Environment): Value;
  evaluateSliceExpression(object: Value, node: Node, scope: Environment): Value;
  evaluateTestExpression(node: Node, scope: Environment): Value;
  applyFilter(operand: Value, filter: Node, scope: Environment): Value;
}
const Base = Interpreter as unknown as new (scope: Environment) => OpenInterpreter;

/** Stands for an operand that was evaluated already, so that its size could be charged. */
class Evaluated {
  readonly type = 'Evaluated';
  constructor(readonly value: Value) {}
}
const evaluated = (value: Value): Node => new Evaluated(value) as unknown as Node;

/**
 * The library makes these functions for every text and object whose method is looked up. Here are those of one of each, which
 * work on the value that it is given before the call.
 */
type Methods = Value & { value: unknown; readonly builtins: ReadonlyMap<string, Value> };
const textMethods = new StringValue('') as unknown as Methods;
const objectMethods = new ObjectValue(new Map()) as unknown as Methods;

const NONE_NAMED: ReadonlyMap<string, Value> = new Map();
const IS_CASE: ReadonlySet<string> = new Set(['lower', 'upper']);
const FILTERS_OF_METHODS: ReadonlySet<string> = new Set(['length', 'upper', 'lower', 'title', 'capitalize']);
const STEPS_OF_ITERATION = 16; // of a loop: a scope, and an object with nine values

/** Runs a parsed template within the limits of a meter. All that takes longer for larger values is charged by their size. */
export class BoundedInterpreter extends Base {
  readonly #meter: TemplateMeter;
  readonly #costs: TemplateCosts;
  #iterable: Node | undefined; // of the loop that begins: the next node that is evaluated
  readonly #nodeCounts = new Map<object, number>();

  constructor(scope: Environment, meter: TemplateMeter) {
    super(scope);
    this.#meter = meter;
    this.#costs = new TemplateCosts(meter);
  }

  override evaluate(node: Node | undefined, scope: Environment): Value {
    if (node instanceof Evaluated) return node.value;
    this.#meter.charge(1);
    if (node === undefined || node !== this.#iterable) return super.evaluate(node, scope);
    this.#iterable = undefined;
    const value = super.evaluate(node, scope);
    this.#meter.charge(countOf(value) * STEPS_OF_ITERATION);
    return value;
  }

  override evaluateBlock(nodes: readonly Node[], scope: Environment): Value {
    this.#meter.charge(1);
    let text = '';
    for (const node of nodes) {
      const value = this.evaluate(node, scope);
      if (value.type === 'NullValue' || value.type === 'UndefinedValue') continue;
      this.#weighText(value);
      text += value.toString();
      this.#meter.checkLength(text.length);
    }
    this.#costs.joined(text);
    return new StringValue(text);
  }

  /** Before a value becomes a text. A function would become its source. */
  #weighText(value: Value): void {
    if (value instanceof FunctionValue) throw new Error('a function cannot be written as text');
    if (typeof value.value === 'object') this.#costs.weigh(value);
  }

  override evaluateFor(node: Node, scope: Environment): Value {
    this.#iterable = node.iterable.type === 'SelectExpression' ? node.iterable.lhs : node.iterable;
    return super.evaluateFor(node, scope);
  }

  /** The library looks a name up by recursion, and throws and catches an error for each name that there is not. */
  override evaluateIdentifier(node: Node, scope: Environment): Value {
    const name = node.value as string;
    let at: Environment | undefined = scope;
    let hops = 0;
    for (; at && !at.variables.has(name); hops++) at = at.parent;
    this.#costs.items(hops);
    const found = at?.variables.get(name) as Value | undefined;
    if (!found) return new UndefinedValue(undefined);
    return name === 'namespace' && found instanceof FunctionValue ? this.#weighing(found) : found;
  }

  /** It copies a list of pairs, each of which may be a text. */
  #weighing(call: InstanceType<typeof FunctionValue>): Value {
    return new FunctionValue((args, scope) => {
      for (const arg of args) this.#costs.pairs(arg);
      return call.value(args, scope);
    });
  }

  override evaluateMemberExpression(node: Node, scope: Environment): Value {
    const object = this.evaluate(node.object, scope);
    const { property, computed } = node;
    if (computed && property.type === 'SliceExpression') return this.evaluateSliceExpression(object, property, scope);
    const key = computed ? this.evaluate(property, scope) : undefined;
    const name = key ? key.value : property.value; // in `a.b` and `a.0`, what stands there
    const isList = object instanceof ArrayValue || object instanceof StringValue;
    if (isList && typeof name === 'number' && (!key || key instanceof IntegerValue)) {
      const item = object.value.at(name);
      return typeof item === 'string' ? new StringValue(item) : (item ?? new UndefinedValue(undefined));
    }
    if (typeof name === 'string') return this.#member(object, name) ?? new UndefinedValue(undefined);
    throw new Error(`Cannot access property with non-string: got ${key?.type ?? property.type}`);
  }

  #member(object: Value, name: string): Value | undefined {
    if (object instanceof StringValue) return this.#textMethod(object.value, name);
    if (object instanceof ArrayValue) return name === 'length' ? new IntegerValue(object.value.length) : undefined;
    if (!(object.value instanceof Map)) return undefined;
    const fields = object.value as ReadonlyMap<string, Value>;
    return fields.get(name) ?? (object instanceof ObjectValue ? this.#objectMethod(fields, name) : undefined);
  }

  #textMethod(text: string, name: string): Value | undefined {
    if (name === 'length') return new IntegerValue(text.length);
    const method = textMethods.builtins.get(name);
    if (!(method instanceof FunctionValue)) return undefined;
    return new FunctionValue((args, scope) => {
      this.#costs.textMethod(name, text, args);
      textMethods.value = text;
      return this.#made(method.value(args, scope));
    });
  }

  #objectMethod(fields: ReadonlyMap<string, Value>, name: string): Value | undefined {
    const method = objectMethods.builtins.get(name);
    if (!(method instanceof FunctionValue)) return undefined;
    return new FunctionValue((args, scope) => {
      this.#costs.objectMethod(name, fields);
      objectMethods.value = fields;
      return method.value(args, scope);
    });
  }

  override evaluateArguments(nodes: readonly Node[], scope: Environment): [args: Value[], named: Map<string, Value>] {
    const [args, named] = super.evaluateArguments(nodes, scope);
    this.#costs.items(args.length + named.size);
    return [args, named];
  }

  override evaluateBinaryExpression(node: Node, scope: Environment): Value {
    const operator = node.operator.value;
    if (operator === 'and' || operator === 'or') return super.evaluateBinaryExpression(node, scope);
    const left = this.evaluate(node.left, scope);
    const right = this.evaluate(node.right, scope);
    const isText = operator === '~' || left instanceof StringValue || right instanceof StringValue;
    const joins = operator === '~' || (operator === '+' && isText);
    if (joins) for (const value of [left, right]) this.#weighText(value);
    else if (operator === '==' || operator === '!=') this.#costs.equal(left, right);
    else if (right instanceof ArrayValue) this.#costs.list(left, right.value);
    else if (left instanceof StringValue && right instanceof StringValue) this.#costs.search(right.value, left.value);
    const operands = { operator: node.operator, left: evaluated(left), right: evaluated(right) };
    return this.#made(super.evaluateBinaryExpression(operands as Node, scope));
  }

  override evaluateTestExpression({ operand, test, negate }: Node, scope: Environment): Value {
    const value = this.evaluate(operand, scope);
    if (value instanceof StringValue && IS_CASE.has(test.value as string)) this.#costs.changed(value.value);
    return super.evaluateTestExpression({ operand: evaluated(value), test, negate } as Node, scope);
  }

  override evaluateSliceExpression(object: Value, node: Node, scope: Environment): Value {
    this.#costs.slice(object);
    return super.evaluateSliceExpression(object, node, scope);
  }

  // The library walks through the whole of a macro to see which arguments it uses.
  override evaluateMacro(node: Node, scope: Environment): Value {
    this.#costs.items(this.#nodesIn(node));
    return super.evaluateMacro(node, scope);
  }

  override evaluateCallStatement(node: Node, scope: Environment): Value {
    this.#costs.items(this.#nodesIn(node));
    return super.evaluateCallStatement(node, scope);
  }

  #nodesIn(node: object): number {
    let count = this.#nodeCounts.get(node);
    if (count !== undefined) return count;
    this.#meter.charge(1);
    count = 1;
    const parts: unknown[] = node instanceof Map ? [...node.keys(), ...node.values()] : Object.values(node);
    for (const part of parts) if (typeof part === 'object' && part !== null) count += this.#nodesIn(part);
    this.#nodeCounts.set(node, count);
    return count;
  }

  override applyFilter(operand: Value, filter: Node, scope: Environment): Value {
    const isCall = filter.type === 'CallExpression';
    const name = (isCall ? filter.callee.value : filter.value) as string;
    if (!isCall && operand instanceof StringValue && FILTERS_OF_METHODS.has(name)) {
      const method = this.#textMethod(operand.value, name) as Value;
      return method instanceof FunctionValue ? method.value([], scope) : method;
    }
    const [args, named] = isCall ? this.evaluateArguments(filter.args, scope) : [[], NONE_NAMED];
    this.#costs.filter(name, operand, args, named);
    // The library takes the arguments of these two only as they stand in the template.
    if (!isCall || name === 'selectattr' || name === 'rejectattr')
      return this.#made(super.applyFilter(operand, filter, scope));
    const nodes: unknown[] = args.map(evaluated);
    for (const [key, value] of named) {
      nodes.push({ type: 'KeywordArgumentExpression', key: { value: key }, value: evaluated(value) });
    }
    return this.#made(super.applyFilter(operand, { ...filter, args: nodes as readonly Node[] }, scope));
  }

  /** What the library made; `first` of an empty list is nothing at all. */
  #made(value: Value | undefined): Value {
    if (value instanceof StringValue) this.#costs.joined(value.value);
    return value ?? new UndefinedValue(undefined);
  }
}
