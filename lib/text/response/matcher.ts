import { BEGIN, END, type Instruction, type Pattern } from './pattern.js';

export interface Match {
  readonly begin: number;
  readonly end: number;
  /** What the named groups matched. */
  readonly groups: ReadonlyMap<string, { readonly begin: number; readonly end: number }>;
}

/** A way through the program that is still open; the slots are of the match so far. */
interface Thread {
  readonly at: number;
  readonly slots: readonly (number | undefined)[];
}

/**
 * Finds the first match of a pattern in a text that comes unit by unit, as soon as nothing that may follow can change it: the
 * one that a regular expression of Perl's kind finds in the whole text. All ways through the pattern are followed at once, so the
 * time for a unit has a limit.
 */
export class Matcher {
  /** In the order of preference, and so of where they begin. */
  #threads: Thread[] = [];
  #next: Thread[] = [];
  /** The best so far; the threads that are left would be better. */
  #best: Thread['slots'] | undefined;
  /** For each instruction the generation in which a thread came to it. */
  readonly #seen: Int32Array;
  #generation = 0;

  constructor(readonly pattern: Pattern) {
    this.#seen = new Int32Array(pattern.program.length);
  }

  /** Forgets what it saw, and looks from `place` on. */
  begin(place: number, isStart: boolean): void {
    this.#threads.length = 0;
    this.#best = undefined;
    this.#generation++;
    if (!isStart) return; // a match that begins here begins with its first unit
    this.#add(this.#threads, 0, [place], { place, isStart, isEnd: false });
    this.#settle(place);
  }

  /** The unit at `place`. */
  step(unit: number, place: number): void {
    const threads = this.#threads;
    if (this.#best === undefined && this.pattern.startsWith(unit)) {
      this.#add(threads, 0, [place], { place, isStart: false, isEnd: false });
    }
    this.#generation++;
    if (threads.length === 0) return;
    const next = this.#next;
    next.length = 0;
    for (const { at, slots } of threads) {
      const instruction = this.pattern.program[at] as Instruction;
      if (instruction.op === 'unit' && instruction.takes(unit)) {
        this.#add(next, at + 1, slots, { place: place + 1, isStart: false, isEnd: false });
      }
    }
    this.#next = threads;
    this.#threads = next;
    this.#settle(place + 1);
  }

  /** The text ends at `place`. */
  end(place: number): void {
    const ended: Thread[] = [];
    const where = { place, isStart: false, isEnd: true };
    this.#generation++;
    for (const { at, slots } of this.#threads) {
      if (this.pattern.program[at]?.op === 'end') this.#add(ended, at + 1, slots, where);
    }
    if (this.#best === undefined) this.#add(ended, 0, [place], where);
    this.#threads = ended;
    this.#settle(place);
    this.#threads.length = 0;
  }

  /** The match, if it is certain. */
  get found(): Match | undefined {
    const slots = this.#best;
    if (slots === undefined || this.#threads.length > 0) return undefined;
    const groups = new Map<string, { begin: number; end: number }>();
    for (const [i, name] of this.pattern.groups.entries()) {
      const [begin, end] = slots.slice(2 + 2 * i);
      if (begin !== undefined && end !== undefined) groups.set(name, { begin, end });
    }
    return { begin: slots[BEGIN] as number, end: slots[END] as number, groups };
  }

  /** Where a match may have begun that is not certain yet; infinite if nowhere. */
  get pendingFrom(): number {
    return this.#threads[0]?.slots[BEGIN] ?? Number.POSITIVE_INFINITY;
  }

  /** Of the threads only those stay that are preferred to a match. */
  #settle(place: number): void {
    const matched = this.#threads.findIndex(({ at }) => this.pattern.program[at]?.op === 'match');
    if (matched < 0) return;
    const slots = [...(this.#threads[matched] as Thread).slots];
    slots[END] ??= place;
    this.#best = slots;
    this.#threads.length = matched;
  }

  #add(
    list: Thread[],
    at: number,
    slots: Thread['slots'],
    where: { place: number; isStart: boolean; isEnd: boolean },
  ): void {
    if (this.#seen[at] === this.#generation) return;
    this.#seen[at] = this.#generation;
    const instruction = this.pattern.program[at] as Instruction;
    switch (instruction.op) {
      case 'jump':
        this.#add(list, instruction.to, slots, where);
        break;
      case 'split':
        this.#add(list, instruction.to, slots, where);
        this.#add(list, instruction.or, slots, where);
        break;
      case 'save': {
        const saved = [...slots];
        saved[instruction.slot] = where.place;
        this.#add(list, at + 1, saved, where);
        break;
      }
      case 'begin':
        if (where.isStart) this.#add(list, at + 1, slots, where);
        break;
      case 'end':
        if (where.isEnd) this.#add(list, at + 1, slots, where);
        else list.push({ at, slots });
        break;
      default:
        list.push({ at, slots });
    }
  }
}

/** How often each character of a text may be looked at, on average: once is the rule, but a match can wait for what follows it. */
const MAX_LOOKS = 16;
/** How many looks there may be in all, at a text of this length. */
export const maxLooks = (length: number): number => MAX_LOOKS * (length + 1024);

/** All matches in a whole text, one behind the other; no more once that takes too long. */
export function* allMatches(pattern: Pattern, text: string): Generator<Match, void, undefined> {
  const matcher = new Matcher(pattern);
  let looks = 0;
  for (let from = 0; from <= text.length && looks <= maxLooks(text.length); ) {
    matcher.begin(from, from === 0);
    let at = from;
    while (at < text.length && !matcher.found) matcher.step(text.charCodeAt(at), at++);
    looks += at - from;
    if (!matcher.found) matcher.end(text.length);
    const { found } = matcher;
    if (!found) return;
    yield found;
    from = Math.max(found.end, found.begin + 1);
  }
}
