/** Counts what is used, and throws where that is too much. */
export interface Meter {
  /** Steps that are left, rounded up. */
  readonly left: number;
  /** Called before the work; fractions add up. */
  charge(steps: number): void;
  /** Of a text that the template makes. */
  checkLength(length: number): void;
}

// What one step pays for, in UTF-16 units of text and in items. A step is about what one expression takes, some 200 ns.
const COPIED = 1024; // put together; V8 copies them later
const SCANNED = 256; // compared or searched
const CHANGED = 64; // looked at one by one: case, JSON
const SPLIT = 4; // made a string each
const ITEMS = 16; // of a list, looked at
const SHORT_PATTERN = 32; // V8 searches for longer ones in a time that can grow with both lengths
const LONG_SEARCH = 512;
const HASHED = 16_384; // of a text as a key; all longer ones of one length have one hash

/** Charges what is done in one go, before it is done, by the sizes of what it is done with. */
export class Costs {
  constructor(readonly meter: Meter) {}

  /** A text that is new. */
  made(text: string): string {
    this.meter.checkLength(text.length);
    this.meter.charge(text.length / COPIED);
    return text;
  }

  items(count: number): void {
    this.meter.charge(count / ITEMS);
  }

  scanned(length: number): void {
    this.meter.charge(length / SCANNED);
  }

  changed(length: number): void {
    this.meter.charge(length / CHANGED);
  }

  split(length: number): void {
    this.meter.charge(length / SPLIT);
  }

  search(text: string, pattern: string): void {
    const isLong = pattern.length > SHORT_PATTERN && pattern.length <= text.length;
    this.meter.charge(text.length / SCANNED + (isLong ? (text.length * pattern.length) / LONG_SEARCH : 0));
  }

  /** A key of a map of that size. */
  key(key: unknown, size: number): void {
    if (typeof key !== 'string') return;
    this.meter.charge((key.length / SCANNED) * (key.length >= HASHED ? size + 1 : 1));
  }

  /** Spaces, or a text many times. */
  repeat(text: string, count: number): string {
    const length = text.length * Math.max(0, count);
    this.meter.checkLength(length);
    this.meter.charge(length / COPIED);
    return length === 0 ? '' : text.repeat(count);
  }

  /** The parts of a text, of which no more are made than steps are left. */
  parts(text: string, separator: string): string[] {
    this.search(text, separator);
    const parts = text.split(separator, this.meter.left + 1);
    this.meter.charge(parts.length);
    return parts;
  }
}

/** A text that is put together, within the limits. */
export class Output {
  text = '';
  constructor(readonly costs: Costs) {}

  add(part: string): void {
    this.text += part;
    this.costs.meter.checkLength(this.text.length);
    this.costs.meter.charge(part.length / COPIED);
  }
}
