import type { Value } from './values.js';

export interface Args {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [name: string, value: Expression])[];
  readonly list: Expression | undefined;
  readonly fields: Expression | undefined;
}

export interface Filter {
  readonly name: string;
  readonly args: Args;
}

export type Expression =
  | { readonly type: 'constant'; readonly value: Value }
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly type: 'dict'; readonly fields: readonly (readonly [key: Expression, value: Expression])[] }
  | { readonly type: 'attribute'; readonly object: Expression; readonly name: string }
  | { readonly type: 'item'; readonly object: Expression; readonly key: Expression }
  | { readonly type: 'slice'; readonly object: Expression; readonly bounds: readonly (Expression | undefined)[] }
  | { readonly type: 'call'; readonly callee: Expression; readonly args: Args }
  | { readonly type: 'filter'; readonly operand: Expression; readonly filter: Filter }
  | { readonly type: 'test'; readonly operand: Expression; readonly name: string; readonly args: Args }
  | { readonly type: 'unary'; readonly operator: '-' | '+' | 'not'; readonly operand: Expression }
  | { readonly type: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'logic'; readonly operator: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | {
      readonly type: 'compare';
      readonly first: Expression;
      readonly rest: readonly (readonly [operator: string, operand: Expression])[];
    }
  | {
      readonly type: 'choice';
      readonly test: Expression;
      readonly yes: Expression;
      readonly no: Expression | undefined;
    };

export type Target =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'field'; readonly namespace: string; readonly name: string }
  | { readonly type: 'tuple'; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly standard: Expression | undefined;
}

export interface MacroNode {
  readonly type: 'macro';
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly body: readonly Statement[];
  /** Whether it takes more arguments than it names. */
  readonly takesMore: boolean;
  readonly takesMoreNamed: boolean;
}

export interface ForNode {
  readonly type: 'for';
  readonly target: Target;
  readonly iterable: Expression;
  readonly filter: Expression | undefined;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
  /** Whether `loop` can be called with items of a deeper level. */
  readonly isRecursive: boolean;
}

export type Statement =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'output'; readonly value: Expression }
  | {
      readonly type: 'if';
      readonly branches: readonly (readonly [test: Expression, body: readonly Statement[]])[];
      readonly otherwise: readonly Statement[];
    }
  | ForNode
  | { readonly type: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly type: 'capture';
      readonly target: Target | undefined;
      readonly filters: readonly Filter[];
      readonly body: readonly Statement[];
    }
  | MacroNode
  | { readonly type: 'call'; readonly macro: MacroNode; readonly call: Expression }
  | {
      readonly type: 'with';
      readonly values: readonly (readonly [target: Target, value: Expression])[];
      readonly body: readonly Statement[];
    }
  | { readonly type: 'break' | 'continue' };
