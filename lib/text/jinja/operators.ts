import type { Costs } from './costs.js';
import { formatPercent } from './format.js';
import {
  checkKey,
  defined,
  Float,
  int,
  isTuple,
  iterate,
  numberOf,
  Parts,
  TemplateError,
  typeName,
  Undefined,
  type Value,
  View,
  WrittenDict,
} from './values.js';
import { compareTexts, str } from './write.js';

export function binary(operator: string, left: Value, right: Value, costs: Costs): Value {
  if (operator === '~') return costs.made(str(left, costs) + str(right, costs));
  if (left instanceof Parts && !Array.isArray(right)) left = left.text();
  else if (right instanceof Parts && !Array.isArray(left)) right = right.text();
  if (left instanceof WrittenDict) left = left.text;
  if (right instanceof WrittenDict) right = right.text;
  defined(left);
  if (operator === '%' && typeof left === 'string') return formatPercent(left, right, costs);
  defined(right);
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') return costs.made(left + right);
    if (Array.isArray(left) && Array.isArray(right) && isTuple(left) === isTuple(right)) {
      costs.items(left.length + right.length);
      return left.concat(right);
    }
  }
  if (operator === '*') {
    const [repeated, count] = numberOf(left) === undefined ? [left, right] : [right, left];
    if (typeof count === 'number' || typeof count === 'boolean') {
      if (typeof repeated === 'string') return costs.repeat(repeated, Number(count));
      if (Array.isArray(repeated)) return repeatList(repeated, Number(count), costs);
    }
  }
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a === undefined || b === undefined) throw unsupported(operator, left, right);
  return arithmetic(operator, a, b, left instanceof Float || right instanceof Float);
}

function unsupported(operator: string, left: Value, right: Value): TemplateError {
  if (operator === '+' && typeof left === 'string') {
    return new TemplateError(`can only concatenate str (not "${typeName(right)}") to str`);
  }
  return new TemplateError(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

function repeatList(items: Value[], count: number, costs: Costs): Value[] {
  costs.items(items.length * Math.max(0, count));
  const list = items.slice(0, 0);
  for (let i = 0; i < count; i++) for (const item of items) list.push(item);
  return list;
}

function arithmetic(operator: string, a: number, b: number, isFloat: boolean): Value {
  const made = (value: number): Value => (isFloat ? new Float(value) : int(value));
  if ('/'.includes(operator[0] as string) || operator === '%') {
    if (b === 0) throw new TemplateError(isFloat || operator === '/' ? 'float division by zero' : 'division by zero');
  }
  switch (operator) {
    case '+':
      return made(a + b);
    case '-':
      return made(a - b);
    case '*':
      return made(a * b);
    case '/':
      return new Float(a / b);
    case '//':
      return made(Math.floor(a / b));
    case '%':
      return made(a - b * Math.floor(a / b));
    default:
      return isFloat || b < 0 ? new Float(a ** b) : int(a ** b);
  }
}

export function unary(operator: '-' | '+', operand: Value): Value {
  const number = numberOf(defined(operand));
  if (number === undefined) throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(operand)}'`);
  const value = operator === '-' ? -number : number;
  return operand instanceof Float ? new Float(value) : int(value);
}

export function isEqual(left: Value, right: Value, costs: Costs): boolean {
  costs.meter.charge(1 / 4);
  if (left === right) {
    if (typeof left === 'string') costs.scanned(left.length);
    return true;
  }
  if (typeof left === 'string' && typeof right === 'string') {
    if (left.length === right.length) costs.scanned(left.length);
    return false;
  }
  if (left instanceof Parts && typeof right === 'string') return isEqual(left.text(), right, costs);
  if (right instanceof Parts && typeof left === 'string') return isEqual(left, right.text(), costs);
  const [a, b] = [numberOf(left), numberOf(right)];
  if (a !== undefined || b !== undefined) return a === b;
  if (Array.isArray(left) && Array.isArray(right)) {
    if (left.length !== right.length || isTuple(left) !== isTuple(right)) return false;
    return left.every((item, i) => isEqual(item, right[i] as Value, costs));
  }
  if (left instanceof Map && right instanceof Map) {
    if (left.size !== right.size) return false;
    for (const [key, item] of left) {
      const other = right.get(key);
      if (other === undefined || !isEqual(item, other, costs)) return false;
    }
    return true;
  }
  return left instanceof Undefined && right instanceof Undefined;
}

export function compare(operator: string, left: Value, right: Value, costs: Costs): boolean {
  switch (operator) {
    case '==':
      return isEqual(left, right, costs);
    case '!=':
      return !isEqual(left, right, costs);
    case 'in':
      return isIn(left, right, costs);
    case 'not in':
      return !isIn(left, right, costs);
    case '<':
      return order(operator, left, right, costs) < 0;
    case '<=':
      return order(operator, left, right, costs) <= 0;
    case '>':
      return order(operator, left, right, costs) > 0;
    default:
      return order(operator, left, right, costs) >= 0;
  }
}

/** Negative, 0 or positive. NaN is neither. */
export function order(operator: string, left: Value, right: Value, costs: Costs): number {
  if (typeof left === 'string' && typeof right === 'string') return compareTexts(left, right, costs);
  const [a, b] = [numberOf(defined(left)), numberOf(defined(right))];
  if (a !== undefined && b !== undefined) return a === b ? 0 : a - b;
  if (Array.isArray(left) && Array.isArray(right) && isTuple(left) === isTuple(right)) {
    for (const [i, item] of left.entries()) {
      if (i >= right.length) break;
      if (!isEqual(item, right[i] as Value, costs)) return order(operator, item, right[i] as Value, costs);
    }
    return left.length - right.length;
  }
  throw new TemplateError(
    `'${operator}' not supported between instances of '${typeName(left)}' and '${typeName(right)}'`,
  );
}

function isIn(item: Value, container: Value, costs: Costs): boolean {
  if (container instanceof Parts && typeof item === 'string') return isIn(item, container.text(), costs);
  if (typeof container === 'string') {
    if (typeof item !== 'string') {
      throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    }
    costs.search(container, item);
    return container.includes(item);
  }
  if (container instanceof Map) {
    costs.key(item, container.size);
    return container.has(checkKey(item));
  }
  if (numberOf(container) !== undefined || container === null || !isContainer(container)) {
    throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`);
  }
  for (const each of iterate(container, costs)) if (isEqual(item, each, costs)) return true;
  return false;
}

const isContainer = (value: Value): boolean =>
  Array.isArray(value) || value instanceof View || value instanceof Undefined || typeName(value) === 'generator';
