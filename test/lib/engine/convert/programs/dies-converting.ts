import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { convert } from 'node-tensorrt-llm';
import { given } from '../../../../tools/program.js';

export interface Work {
  readonly source: string;
  readonly out: string;
  /** The file whose writing has begun when the process is killed. */
  readonly file: string;
}

const { source, out, file } = given<Work>();
const parent = dirname(out);
const hasBegun = (): boolean =>
  readdirSync(parent).some((name) => name.startsWith('.') && existsSync(join(parent, name, file)));
const onProgress = (): void => {
  while (!hasBegun()); // the conversion goes on in its own thread
  process.kill(process.pid, 'SIGKILL');
};
await convert(source, out, { onProgress });
