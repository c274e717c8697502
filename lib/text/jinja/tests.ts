import type { Costs } from './costs.js';
import { compare, isEqual } from './operators.js';
import {
  Attributes,
  Callable,
  Float,
  numberOf,
  TemplateError,
  toInt,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';
import { str } from './write.js';

type Test = (value: Value, costs: Costs, argument: Value) => boolean;

const isIterable = (value: Value): boolean =>
  typeof value === 'string' ||
  (typeof value === 'object' &&
    !(value instanceof Float) &&
    value !== null &&
    !(value instanceof Callable) &&
    !(value instanceof Attributes));

const comparing =
  (operator: string): Test =>
  (value, costs, argument) =>
    compare(operator, value, argument, costs);

const divisible: Test = (value, _costs, argument) => toInt(value, 'the value') % toInt(argument, 'the divisor') === 0;

const cased =
  (change: (text: string) => string, other: (text: string) => string): Test =>
  (value, costs) => {
    const text = str(value, costs);
    costs.changed(text.length);
    return text === change(text) && text !== other(text);
  };
const lower = (text: string): string => text.toLowerCase();
const upper = (text: string): string => text.toUpperCase();

const TESTS: Readonly<Record<string, Test>> = {
  __proto__: null as never,
  boolean: (value) => typeof value === 'boolean',
  callable: (value) => value instanceof Callable,
  defined: (value) => !(value instanceof Undefined),
  divisibleby: divisible,
  escaped: () => false,
  even: (value) => toInt(value, 'the value') % 2 === 0,
  false: (value) => value === false,
  float: (value) => value instanceof Float,
  in: comparing('in'),
  integer: (value) => typeof value === 'number',
  iterable: isIterable,
  lower: cased(lower, upper),
  mapping: (value) => value instanceof Map,
  none: (value) => value === null,
  number: (value) => numberOf(value) !== undefined,
  odd: (value) => toInt(value, 'the value') % 2 !== 0,
  sameas: (value, costs, argument) =>
    value === argument || (typeof value !== 'object' && isEqual(value, argument, costs)),
  sequence: (value) => isIterable(value) && !(value instanceof View) && typeName(value) !== 'generator',
  string: (value) => typeof value === 'string',
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: cased(upper, lower),
  ...Object.fromEntries(
    Object.entries({
      '==': ['eq', 'equalto'],
      '!=': ['ne'],
      '<': ['lt', 'lessthan'],
      '<=': ['le'],
      '>': ['gt', 'greaterthan'],
      '>=': ['ge'],
    }).flatMap(([operator, names]) => [operator, ...names].map((name) => [name, comparing(operator)])),
  ),
};
const TAKES_ARGUMENT = /^(?:[=!<>].*|divisibleby|in|sameas|eq|equalto|ne|lt|lessthan|le|gt|greaterthan|ge)$/;

export function applyTest(name: string, value: Value, args: readonly Value[], costs: Costs): boolean {
  const test = TESTS[name];
  if (!test) throw new TemplateError(`no test named '${name}'`);
  if (args.length !== (TAKES_ARGUMENT.test(name) ? 1 : 0)) {
    throw new TemplateError(`the test ${name} was given ${args.length} arguments`);
  }
  return test(value, costs, args[0] ?? null);
}
