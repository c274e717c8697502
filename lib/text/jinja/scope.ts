import type { Costs } from './costs.js';
import { Undefined, type Value } from './values.js';

/** Variables that are seen in a part of a template, and those around it. */
export class Scope {
  readonly #variables = new Map<string, Value>();

  constructor(
    readonly parent: Scope | undefined,
    readonly costs: Costs,
  ) {}

  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }

  get(name: string): Value {
    let hops = 0;
    for (let scope: Scope | undefined = this; scope; scope = scope.parent) {
      const value = scope.#variables.get(name);
      if (value !== undefined) {
        this.costs.items(hops);
        return value;
      }
      hops++;
    }
    this.costs.items(hops);
    return new Undefined(`'${name}' is undefined`);
  }
}
