import { type Node, PatternError, parsePattern } from './pattern-parser.js';

/** A step of a program that looks for a pattern. */
export type Instruction =
  | { readonly op: 'unit'; readonly takes: (unit: number) => boolean }
  /** Both ways, the first one preferred. */
  | { readonly op: 'split'; readonly to: number; readonly or: number }
  | { readonly op: 'jump'; readonly to: number }
  | { readonly op: 'save'; readonly slot: number }
  | { readonly op: 'begin' | 'end' | 'match' };

/** Slots of a match: where it begins and ends, then begin and end of each named group. */
export const BEGIN = 0;
export const END = 1;
const FIRST_GROUP = 2;

const MAX_INSTRUCTIONS = 1024; // a counted repetition is written out

/** A regular expression, or texts, that can be looked for in a text that is still being written: see Matcher. */
export class Pattern {
  readonly program: readonly Instruction[];
  /** In the order of their slots. */
  readonly groups: readonly string[];
  /** Whether it can match no text at all, other than at the start of the answer. */
  readonly canBeEmpty: boolean;
  readonly #starts: readonly ((unit: number) => boolean)[];
  readonly #startsAscii = new Uint8Array(128);

  private constructor(
    readonly source: string,
    node: Node,
  ) {
    const compiler = new Compiler();
    compiler.emit(node);
    compiler.push({ op: 'match' });
    this.program = compiler.program;
    this.groups = compiler.groups;
    const first = firstOf(this.program);
    this.canBeEmpty = first.canBeEmpty;
    this.#starts = first.takes;
    for (let unit = 0; unit < 128; unit++) this.#startsAscii[unit] = Number(this.#starts.some((takes) => takes(unit)));
  }

  /**
   * A regular expression in Python's syntax, where `.` is any character and `^` and `$` are start and end of the answer.
   * @throws {PatternError}
   */
  static of(source: string): Pattern {
    return new Pattern(source, parsePattern(source));
  }

  /** Any of these texts; of several that begin at the same place the longest. */
  static ofTexts(texts: readonly string[]): Pattern {
    const longestFirst = [...texts].sort((a, b) => b.length - a.length);
    const options = longestFirst.map((text): Node => {
      const items = Array.from({ length: text.length }, (_, i): Node => {
        const wanted = text.charCodeAt(i);
        return { kind: 'unit', takes: (unit) => unit === wanted };
      });
      return { kind: 'sequence', items };
    });
    return new Pattern(texts.join('|'), { kind: 'choice', options });
  }

  /** Whether a match that is not empty can begin with this unit. */
  startsWith(unit: number): boolean {
    return unit < 128 ? this.#startsAscii[unit] === 1 : this.#starts.some((takes) => takes(unit));
  }
}

class Compiler {
  readonly program: Instruction[] = [];
  readonly groups: string[] = [];

  push(instruction: Instruction): number {
    if (this.program.length === MAX_INSTRUCTIONS) throw new PatternError('it is too long');
    return this.program.push(instruction) - 1;
  }

  emit(node: Node): void {
    switch (node.kind) {
      case 'unit':
        this.push({ op: 'unit', takes: node.takes });
        break;
      case 'sequence':
        for (const item of node.items) this.emit(item);
        break;
      case 'choice':
        this.#choice(node.options);
        break;
      case 'repeat':
        this.#repeat(node);
        break;
      case 'group':
        this.#group(node.name, node.body);
        break;
      case 'ahead': // what follows must be there, and is not of the match
        this.push({ op: 'save', slot: END });
        this.emit(node.body);
        break;
      default:
        this.push({ op: node.kind });
    }
  }

  #choice(options: readonly Node[]): void {
    const ends: number[] = [];
    for (const [i, option] of options.entries()) {
      const isLast = i === options.length - 1;
      const split = isLast ? -1 : this.#hole();
      this.emit(option);
      if (isLast) break;
      ends.push(this.#hole());
      this.program[split] = { op: 'split', to: split + 1, or: this.program.length };
    }
    for (const end of ends) this.program[end] = { op: 'jump', to: this.program.length };
  }

  #repeat({ body, min, max, isGreedy }: Extract<Node, { kind: 'repeat' }>): void {
    for (let i = 0; i < min; i++) this.emit(body);
    if (max === Number.POSITIVE_INFINITY) {
      const split = this.#hole();
      this.emit(body);
      this.push({ op: 'jump', to: split });
      this.#fork(split, isGreedy);
      return;
    }
    const splits: number[] = [];
    for (let i = min; i < max; i++) {
      splits.push(this.#hole());
      this.emit(body);
    }
    for (const split of splits) this.#fork(split, isGreedy);
  }

  /** Into the body behind `split`, or past it. */
  #fork(split: number, isGreedy: boolean): void {
    const [into, past] = [split + 1, this.program.length];
    this.program[split] = isGreedy ? { op: 'split', to: into, or: past } : { op: 'split', to: past, or: into };
  }

  #group(name: string, body: Node): void {
    if (!this.groups.includes(name)) this.groups.push(name);
    const slot = FIRST_GROUP + 2 * this.groups.indexOf(name);
    this.push({ op: 'save', slot });
    this.emit(body);
    this.push({ op: 'save', slot: slot + 1 });
  }

  /** A place for an instruction that leads to what is not there yet. */
  #hole(): number {
    return this.push({ op: 'jump', to: 0 });
  }
}

function firstOf(program: readonly Instruction[]): { takes: ((unit: number) => boolean)[]; canBeEmpty: boolean } {
  const seen = new Set<number>();
  const takes: ((unit: number) => boolean)[] = [];
  let canBeEmpty = false;
  const visit = (at: number): void => {
    if (seen.has(at)) return;
    seen.add(at);
    const instruction = program[at] as Instruction;
    if (instruction.op === 'unit') takes.push(instruction.takes);
    else if (instruction.op === 'match') canBeEmpty = true;
    else if (instruction.op === 'jump') visit(instruction.to);
    else if (instruction.op === 'split') {
      visit(instruction.to);
      visit(instruction.or);
    } else if (instruction.op !== 'begin') {
      if (instruction.op === 'save' && instruction.slot === END) canBeEmpty = true;
      visit(at + 1);
    }
  };
  visit(0);
  return { takes, canBeEmpty };
}
