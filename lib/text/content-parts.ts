import type { Expression, Statement } from './jinja/ast.js';

type Node = Expression | Statement;

const OF_LISTS = new Set(['map', 'select', 'selectattr', 'reject', 'rejectattr']);

/**
 * Whether a template takes a message's content as a list of parts: it loops over it, filters its items or reads a field of one. What
 * it has by another name counts too: variables, and arguments of macros. That it asks whether content is a string does not count:
 * many that do so leave a list out.
 */
export function wantsParts(template: readonly Statement[]): boolean {
  const finder = new PartsFinder();
  // A macro can stand before the call that gives it the content: walk until there are no new names.
  let known: number;
  do {
    known = finder.names.size;
    finder.visit(template);
  } while (finder.names.size > known && !finder.found);
  return finder.found;
}

class PartsFinder {
  /** Variables that hold a message's content somewhere. */
  readonly names = new Set<string>();
  readonly #macros = new Map<string, readonly string[]>();
  found = false;

  visit(part: unknown): void {
    if (typeof part !== 'object' || part === null) return;
    if ('type' in part) this.#look(part as Node);
    for (const inner of Object.values(part)) this.visit(inner);
  }

  #look(node: Node): void {
    switch (node.type) {
      case 'for':
        this.found ||= this.#isContent(node.iterable);
        break;
      case 'filter':
        this.found ||= OF_LISTS.has(node.filter.name) && this.#isContent(node.operand);
        break;
      case 'item':
      case 'attribute': {
        const { object } = node; // content[0].text
        const isItem = object.type === 'item' && object.key.type === 'constant' && typeof object.key.value === 'number';
        this.found ||= isItem && this.#isContent(object.object);
        break;
      }
      case 'set':
        if (node.target.type === 'name' && this.#isContent(node.value)) this.names.add(node.target.name);
        break;
      case 'macro':
        this.#macros.set(
          node.name,
          node.parameters.map(({ name }) => name),
        );
        break;
      case 'call':
        if ('callee' in node && node.callee.type === 'name') this.#pass(node.callee.name, node);
        break;
      default:
    }
  }

  /** The content as an argument of a macro. */
  #pass(macro: string, { args }: Extract<Expression, { type: 'call' }>): void {
    const parameters = this.#macros.get(macro) ?? [];
    const given = [...args.positional.map((arg, i) => [parameters[i], arg] as const), ...args.named];
    for (const [name, arg] of given) {
      if (name !== undefined && parameters.includes(name) && this.#isContent(arg)) this.names.add(name);
    }
  }

  #isContent(node: Expression): boolean {
    switch (node.type) {
      case 'attribute':
        return node.name === 'content';
      case 'item':
        return node.key.type === 'constant' && node.key.value === 'content';
      case 'name':
        return this.names.has(node.name);
      case 'filter':
        return this.#isContent(node.operand);
      case 'choice':
        return this.#isContent(node.yes) || (node.no !== undefined && this.#isContent(node.no));
      case 'logic':
        return this.#isContent(node.left) || this.#isContent(node.right);
      case 'call': {
        const [name] = node.args.positional; // message.get('content')
        const isGet = node.callee.type === 'attribute' && node.callee.name === 'get';
        return isGet && name?.type === 'constant' && name.value === 'content';
      }
      default:
        return false;
    }
  }
}
