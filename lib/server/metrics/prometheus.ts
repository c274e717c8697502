/** By name, in the order in which they are written. */
export type Labels = Readonly<Record<string, string>>;

interface Head {
  readonly name: string;
  readonly help: string;
}

/** A metric with a number for each set of labels. */
export class NumberMetric {
  readonly #head: Head;
  readonly #type: 'counter' | 'gauge';
  readonly #values = new Map<string, number>();

  constructor(type: 'counter' | 'gauge', head: Head) {
    this.#type = type;
    this.#head = head;
  }

  add(labels: Labels, by: number): void {
    const key = inside(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + by);
  }

  set(labels: Labels, value: number): void {
    this.#values.set(inside(labels), value);
  }

  lines(): string[] {
    if (this.#values.size === 0) return [];
    const { name } = this.#head;
    return [...headLines(this.#head, this.#type), ...[...this.#values].map(([key, value]) => sample(name, key, value))];
  }
}

interface Observations {
  /** [bounds], not cumulative. */
  readonly counts: number[];
  count: number;
  sum: number;
}

/** How many of the values that were observed are at most each bound, for each set of labels. */
export class HistogramMetric {
  readonly #head: Head;
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Observations>();

  constructor(bounds: readonly number[], head: Head) {
    this.#bounds = bounds;
    this.#head = head;
  }

  observe(labels: Labels, value: number): void {
    const series = this.start(labels);
    const at = this.#bounds.findIndex((bound) => value <= bound);
    if (at >= 0) series.counts[at] = (series.counts[at] ?? 0) + 1;
    series.count++;
    series.sum += value;
  }

  /** Makes the series, so that it is there before its first value. */
  start(labels: Labels): Observations {
    const key = inside(labels);
    const found = this.#series.get(key);
    if (found) return found;
    const made = { counts: this.#bounds.map(() => 0), count: 0, sum: 0 };
    this.#series.set(key, made);
    return made;
  }

  lines(): string[] {
    if (this.#series.size === 0) return [];
    const lines = headLines(this.#head, 'histogram');
    const { name } = this.#head;
    for (const [key, { counts, count, sum }] of this.#series) {
      const labels = key === '' ? '' : `${key},`;
      let below = 0;
      for (const [i, bound] of this.#bounds.entries()) {
        below += counts[i] ?? 0;
        lines.push(sample(`${name}_bucket`, `${labels}le="${bound}"`, below));
      }
      lines.push(sample(`${name}_bucket`, `${labels}le="+Inf"`, count));
      lines.push(sample(`${name}_sum`, key, sum), sample(`${name}_count`, key, count));
    }
    return lines;
  }
}

const headLines = ({ name, help }: Head, type: string): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${type}`,
];

const sample = (name: string, labels: string, value: number): string =>
  labels === '' ? `${name} ${value}` : `${name}{${labels}} ${value}`;

/** What stands inside of the braces. */
const inside = (labels: Labels): string =>
  Object.entries(labels)
    .map(
      ([name, value]) => `${name}="${value.replaceAll(/[\\"\n]/g, (each) => (each === '\n' ? '\\n' : `\\${each}`))}"`,
    )
    .join(',');
