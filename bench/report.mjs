// What the benches share: medians, processor time, and the report.
import { cpus } from 'node:os';

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

export const round = (value, digits = 2) => Number(value.toFixed(digits));

/** Microseconds of processor time, of all threads of this process together, until `run` settles. */
export async function cpuMicroseconds(run) {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Least-squares slope of `values` over their index. */
export function slope(values) {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const covariance = values.reduce((sum, value, i) => sum + (i - middle) * (value - mean), 0);
  return covariance / values.reduce((sum, _, i) => sum + (i - middle) ** 2, 0);
}

/** The report of one bench: Markdown for people, or with `json` one object a line, the machine first. */
export class Report {
  #bench;
  #json;

  constructor(bench, { json }) {
    this.#bench = bench;
    this.#json = json;
    const machine = {
      cpu: cpus()[0].model.trim(),
      cores: cpus().length,
      node: process.version,
      date: new Date().toISOString().slice(0, 10),
    };
    if (json) this.#line(machine);
    else console.log(`${bench}: ${machine.cpu}, ${machine.cores} cores; Node ${machine.node}; ${machine.date}`);
  }

  /** Rows are objects with the same keys, whose names carry the units. */
  table(title, rows) {
    if (this.#json) {
      for (const row of rows) this.#line({ table: title, ...row });
      return;
    }
    const keys = Object.keys(rows[0]);
    const cells = [keys, ...rows.map((row) => keys.map((key) => String(row[key] ?? '')))];
    const widths = keys.map((_, column) => Math.max(...cells.map((line) => line[column].length)));
    const print = (line) => console.log(`| ${line.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`);
    console.log(`\n${title}\n`);
    print(cells[0]);
    print(widths.map((width) => '-'.repeat(width)));
    for (const line of cells.slice(1)) print(line);
  }

  #line(fields) {
    console.log(JSON.stringify({ bench: this.#bench, ...fields }));
  }
}
