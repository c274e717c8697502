// Runs the tests of the chat page in Chromium: `npm run test:page`. Arguments are path fragments that choose among them.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync } from 'node:fs';
import path from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const inPath = (process.env.PATH ?? '')
  .split(path.delimiter)
  .flatMap((dir) => NAMES.map((name) => path.join(dir, name)));
const chromium = [process.env.CHROMIUM ?? [], inPath].flat().find(isProgram);
if (chromium === undefined) {
  const found = process.env.CHROMIUM
    ? `CHROMIUM is ${process.env.CHROMIUM}, which is not a program`
    : `PATH has no ${NAMES[0]}`;
  console.error(
    `${found}; expected Chromium or Chrome. Install it (Debian, Ubuntu: apt-get install chromium), or set CHROMIUM to its path.`,
  );
  process.exit(1);
}

const root = path.join(import.meta.dirname, '..');
const wanted = process.argv.slice(2);
const files = readdirSync(path.join(root, 'dist-test', 'page'))
  .filter((name) => name.endsWith('.browser.js') && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .map((name) => path.join('dist-test', 'page', name));
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=1', '--test-timeout=120000', ...files], {
  cwd: root,
  env: { ...process.env, CHROMIUM: chromium },
  stdio: 'inherit',
});
process.exit(status ?? 1);
