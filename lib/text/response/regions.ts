import { type Match, Matcher, maxLooks } from './matcher.js';
import { type CompiledTemplate, type Region, usedRegions } from './template.js';

/** Takes an answer, region by region. */
export interface RegionSink {
  /** A region begins with this mark. */
  open(region: Region, mark: string, groups: ReadonlyMap<string, string>): void;
  /** Text of a region, or of none; returns how many units of it are of the region. If not all, the region ends there. */
  text(region: Region | undefined, text: string): number;
  /** A region ends with this mark, or, if that is empty, with the answer. */
  close(region: Region, mark: string): void;
  /** The start of the assistant's turn came again. */
  anchor(mark: string): void;
}

/** What is looked for, and whether it opens the region, closes it, or says again whose turn it is. */
interface Watch {
  readonly region: Region | undefined;
  readonly kind: 'open' | 'close' | 'anchor';
  readonly matcher: Matcher;
}

/**
 * Divides an answer into regions while it comes. Text goes out at once, unless it can be part of a mark. Within a region only its
 * own end is looked for.
 */
export class Regions {
  readonly #sink: RegionSink;
  /** Has what no region takes. */
  readonly #implicit: Region | undefined;
  readonly #between: readonly Watch[];
  readonly #within = new Map<Region, readonly Watch[]>();
  #region: Region | undefined;
  #watches: readonly Watch[];
  /** From the place `#base` of the answer on. */
  #buffer = '';
  #base = 0;
  /** The next unit to look at. */
  #at = 0;
  #looks = 0;
  #hasMark = false;
  #silentUntil = 0;

  constructor(template: CompiledTemplate, hasTools: boolean, sink: RegionSink) {
    this.#sink = sink;
    const used = usedRegions(template, hasTools);
    this.#implicit = used.find(({ open }) => open === undefined);
    const watch = (
      region: Region | undefined,
      kind: Watch['kind'],
      pattern = region?.[kind as 'open' | 'close'],
    ): Watch[] => (pattern ? [{ region, kind, matcher: new Matcher(pattern) }] : []);
    this.#between = [
      ...used.flatMap((region) => watch(region, 'open')),
      ...watch(this.#implicit, 'close'),
      ...(this.#implicit ? [] : watch(undefined, 'anchor', template.startAnchor)),
    ];
    for (const region of used) if (region.open) this.#within.set(region, watch(region, 'close'));
    this.#region = this.#implicit;
    this.#watches = this.#between;
    this.#restart(0);
  }

  /** The answer begins in the prompt: marks there count, and its text is not handed out. */
  skip(text: string): void {
    this.#silentUntil = text.length;
    this.push(text);
  }

  push(text: string): void {
    this.#buffer += text;
    do this.#look();
    while (this.#give(this.#certainUntil()));
  }

  /** The answer ends. */
  end(): void {
    for (;;) {
      this.#look();
      for (const { matcher } of this.#watches) matcher.end(this.#at);
      if (this.#takeMark()) continue;
      if (!this.#give(this.#at)) break;
    }
    if (this.#region && this.#region !== this.#implicit) this.#sink.close(this.#region, '');
  }

  #look(): void {
    const end = this.#base + this.#buffer.length;
    while (this.#at < end) {
      if (++this.#looks > maxLooks(end)) this.#watches = []; // no more marks are looked for
      const unit = this.#buffer.charCodeAt(this.#at - this.#base);
      for (const { matcher } of this.#watches) matcher.step(unit, this.#at);
      this.#at++;
      // Calls are read unit by unit: what is behind their end is not theirs, whether or not there is a mark.
      if (!this.#takeMark() && this.#region?.channel === 'calls') this.#give(this.#certainUntil());
    }
  }

  /** Before this place no mark can begin any more. */
  #certainUntil(): number {
    return Math.min(this.#at, ...this.#watches.map(({ matcher }) => matcher.found?.begin ?? matcher.pendingFrom));
  }

  /** Takes the first mark, if it is certain which that is. */
  #takeMark(): boolean {
    let first: { watch: Watch; match: Match } | undefined;
    let pendingFrom = Number.POSITIVE_INFINITY;
    for (const watch of this.#watches) {
      const match = watch.matcher.found;
      if (!match) pendingFrom = Math.min(pendingFrom, watch.matcher.pendingFrom);
      else if (!first || isBefore(match, first.match)) first = { watch, match };
    }
    if (!first || first.match.begin >= pendingFrom) return false;
    const { watch, match } = first;
    const isEmpty = match.begin === match.end;
    if (isEmpty && watch.kind === 'close' && this.#region === this.#implicit) {
      watch.matcher.begin(this.#at, false); // it would end there again and again
      return false;
    }
    if (this.#give(match.begin)) return true;
    const textOf = ({ begin, end }: { begin: number; end: number }): string =>
      this.#buffer.slice(begin - this.#base, end - this.#base);
    const mark = textOf(match);
    const groups = new Map([...match.groups].map(([name, group]) => [name, textOf(group)]));
    this.#hasMark = true;
    this.#drop(match.end);
    this.#region = watch.kind === 'open' ? watch.region : this.#implicit;
    this.#watches = (watch.kind === 'open' && watch.region && this.#within.get(watch.region)) || this.#between;
    this.#restart(match.end);
    if (watch.kind === 'open') this.#sink.open(watch.region as Region, mark, groups);
    else if (watch.kind === 'close') this.#sink.close(watch.region as Region, mark);
    else this.#sink.anchor(mark);
    return true;
  }

  /** Gives the region its text up to this place; returns whether the region ended before it. */
  #give(end: number): boolean {
    const text = this.#buffer.slice(0, end - this.#base);
    if (text === '') return false;
    const isCall = this.#region?.channel === 'calls';
    const shown = isCall ? text : text.slice(Math.max(0, this.#silentUntil - this.#base));
    const taken = this.#sink.text(this.#region, shown) + text.length - shown.length;
    this.#drop(this.#base + taken);
    if (taken === text.length) return false;
    this.#region = this.#implicit;
    this.#watches = this.#between;
    this.#restart(this.#base);
    return true;
  }

  #drop(until: number): void {
    this.#buffer = this.#buffer.slice(until - this.#base);
    this.#base = until;
  }

  #restart(place: number): void {
    this.#at = place;
    for (const { matcher } of this.#watches) matcher.begin(place, place === 0 && !this.#hasMark);
  }
}

/** Of marks at the same place the longer comes first, then the one that is looked for first. */
const isBefore = (one: Match, other: Match): boolean =>
  one.begin < other.begin || (one.begin === other.begin && one.end > other.end);
