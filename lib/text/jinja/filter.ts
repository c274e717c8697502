import type { Costs } from './costs.js';
import type { Named, Value } from './values.js';

/** What filters need of the interpreter. */
export interface Runtime {
  readonly costs: Costs;
  /** `a[b]` of a template. */
  getItem(object: Value, key: Value): Value;
  /** An attribute in Python's sense, such as a method. */
  getAttribute(object: Value, name: string): Value;
  filter(name: string, value: Value, args: readonly Value[], named: Named): Value;
}

/** `args` are by the names of its parameters, undefined where not given. */
export type Filter = (runtime: Runtime, value: Value, args: readonly (Value | undefined)[]) => Value;
/** One that takes any arguments. */
export type VariadicFilter = (runtime: Runtime, value: Value, args: readonly Value[], named: Named) => Value;
export type FilterTable = Readonly<Record<string, readonly [parameters: readonly string[], filter: Filter]>>;
