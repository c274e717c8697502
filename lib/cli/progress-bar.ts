import type { OnProgress } from '../index.js';

const WIDTH = 24;
const MEGABYTE = 1e6;

/** Draws progress on one line of standard error, where that is a terminal. */
export function progressBar(): OnProgress {
  if (!process.stderr.isTTY) return () => {};
  return ({ stage, done, total }) => {
    const part = total > 0 ? Math.min(1, done / total) : 0;
    const filled = Math.round(part * WIDTH);
    const bar = '#'.repeat(filled) + '.'.repeat(WIDTH - filled);
    const amount =
      stage === 'build' || stage === 'calibrate'
        ? `${done} of ${total} ${stage === 'build' ? 'ranks' : 'layers'}`
        : `${(done / MEGABYTE).toFixed(0)} of ${(total / MEGABYTE).toFixed(0)} MB`;
    const line = `${stage.padEnd(10)} [${bar}] ${Math.round(part * 100)}% ${amount}`;
    process.stderr.write(`\r\x1b[K${line}${done >= total ? '\r\x1b[K' : ''}`);
  };
}
