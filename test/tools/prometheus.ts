import assert from 'node:assert/strict';

type Type = 'counter' | 'gauge' | 'histogram';

/** One metric of Prometheus's text format. */
export interface Family {
  readonly type: Type;
  readonly samples: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\\\n]|\\\\[\\\\"n])*)"';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (\\S+)$`);

/** Reads version 0.0.4 of the format, and fails where the text is not exactly that, or a histogram does not add up. */
export function parseMetrics(text: string): ReadonlyMap<string, Family> {
  assert.ok(text.endsWith('\n') && !text.includes('\r'), 'the last line has no end');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let current: { name: string; family: Family } | undefined;
  let helped: string | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const [, help] = new RegExp(`^# HELP (${NAME}) \\S.*$`).exec(line) ?? [];
    const [, typed, type] = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram)$`).exec(line) ?? [];
    if (help !== undefined) {
      helped = help;
    } else if (typed !== undefined) {
      assert.equal(helped, typed, `${typed} has no help before its type`);
      assert.ok(!families.has(typed), `${typed} comes twice`);
      current = { name: typed, family: { type: type as Type, samples: [] } };
      families.set(typed, current.family);
    } else {
      const [, name, inside = '', , , , , value] = SAMPLE.exec(line) ?? [];
      assert.ok(name !== undefined && current, `not a sample: ${line}`);
      const suffixes = current.family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
      assert.ok(
        suffixes.some((suffix) => name === current?.name + suffix),
        `${name} stands under ${current.name}`,
      );
      const pairs = [...inside.matchAll(new RegExp(LABEL, 'g'))].map(([, key = '', quoted = '']) => [
        key,
        quoted.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped)),
      ]);
      const labels = Object.fromEntries(pairs) as Record<string, string>;
      assert.equal(Object.keys(labels).length, pairs.length, `a label comes twice: ${line}`);
      const key = `${name} ${JSON.stringify(Object.entries(labels).sort())}`;
      assert.ok(!seen.has(key), `comes twice: ${line}`);
      seen.add(key);
      assert.match(value ?? '', /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/, line);
      current.family.samples.push({ name, labels, value: Number(value) });
    }
  }
  for (const [name, { type, samples }] of families) {
    assert.ok(samples.length > 0, `${name} has no sample`);
    if (type === 'counter')
      assert.ok(
        samples.every(({ value }) => value >= 0),
        name,
      );
    if (type === 'histogram') checkHistogram(name, samples);
  }
  return families;
}

function checkHistogram(name: string, samples: Family['samples']): void {
  const series = groupBy(samples);
  for (const [key, of] of series) {
    const buckets = of.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => (labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le)));
    assert.ok(
      bounds.every((bound, i) => i === 0 || bound > (bounds[i - 1] as number)),
      `${name} ${key}: bounds ${bounds}`,
    );
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY, `${name} ${key} has no +Inf`);
    assert.ok(
      buckets.every(({ value }, i) => i === 0 || value >= (buckets[i - 1]?.value ?? 0)),
      `${name} ${key} falls`,
    );
    const [count, ...more] = of.filter((sample) => sample.name === `${name}_count`);
    assert.equal(of.filter((sample) => sample.name === `${name}_sum`).length, 1);
    assert.deepEqual([count?.value, more.length], [buckets.at(-1)?.value, 0], `${name} ${key}`);
  }
}

const keyOf = ({ labels: { le: _, ...labels } }: Family['samples'][number]): string => JSON.stringify(labels);

function groupBy(samples: Family['samples']): Map<string, Family['samples']> {
  const groups = new Map<string, Family['samples']>();
  for (const sample of samples) groups.set(keyOf(sample), [...(groups.get(keyOf(sample)) ?? []), sample]);
  return groups;
}
