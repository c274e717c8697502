import type { Costs } from './costs.js';
import { isEqual } from './operators.js';
import { Attributes, Callable, TemplateError, Undefined, type Value } from './values.js';

/** The variable `loop`. */
export class LoopState extends Attributes {
  readonly typeName = 'LoopContext';
  index = 0;
  /** Renders the loop for items of a deeper level, where it is recursive. */
  recurse: ((items: Value) => string) | undefined;
  #changed: readonly Value[] | undefined;

  constructor(
    readonly items: readonly Value[],
    readonly depth: number,
    readonly costs: Costs,
  ) {
    super();
  }

  attribute(name: string): Value | undefined {
    const { index, items, depth } = this;
    switch (name) {
      case 'index':
        return index + 1;
      case 'index0':
        return index;
      case 'revindex':
        return items.length - index;
      case 'revindex0':
        return items.length - index - 1;
      case 'first':
        return index === 0;
      case 'last':
        return index === items.length - 1;
      case 'length':
        return items.length;
      case 'previtem':
        return index > 0 ? items[index - 1] : new Undefined('there is no previous item');
      case 'nextitem':
        return index + 1 < items.length ? items[index + 1] : new Undefined('there is no next item');
      case 'depth':
        return depth + 1;
      case 'depth0':
        return depth;
      case 'cycle':
        return new Callable('cycle', (args) => {
          if (args.length === 0) throw new TemplateError('no items for cycling given');
          return args[index % args.length] as Value;
        });
      case 'changed':
        return new Callable('changed', (args) => {
          const before = this.#changed;
          this.#changed = args;
          return !before || args.some((arg, i) => !isEqual(arg, before[i] ?? null, this.costs));
        });
      default:
        return undefined;
    }
  }
}
