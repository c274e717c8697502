import { type Named, TemplateError, type Value } from './values.js';

/**
 * The arguments of a call by the names of its parameters, in their order; undefined for one that was not given.
 * @throws {TemplateError} for one too many, and for a name it does not have.
 */
export function bind(
  callee: string,
  parameters: readonly string[],
  args: readonly Value[],
  named: Named,
): (Value | undefined)[] {
  if (args.length > parameters.length) {
    throw new TemplateError(`${callee}() takes ${parameters.length} arguments but ${args.length} were given`);
  }
  const bound: (Value | undefined)[] = parameters.map((_, i) => args[i]);
  for (const [name, value] of named) {
    const at = parameters.indexOf(name);
    if (at < 0) throw new TemplateError(`${callee}() got an unexpected keyword argument '${name}'`);
    if (at < args.length) throw new TemplateError(`${callee}() got multiple values for argument '${name}'`);
    bound[at] = value;
  }
  return bound;
}

/** An argument that has no standard. */
export function given(callee: string, parameter: string, value: Value | undefined): Value {
  if (value !== undefined) return value;
  throw new TemplateError(`${callee}() missing 1 required positional argument: '${parameter}'`);
}
