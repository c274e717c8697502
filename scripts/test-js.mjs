// Runs the compiled tests. Arguments are path fragments that choose among them: `npm run test:js -- engine/gguf`.
// Without one, all but those of the package, which need prebuilds: `npm run test:package`.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const wanted = process.argv.slice(2);
const files = readdirSync(path.join(root, 'dist-test'), { recursive: true })
  .filter((name) => name.endsWith('.test.js'))
  .filter((name) => (wanted.length === 0 ? !name.startsWith('package/') : wanted.some((part) => name.includes(part))))
  .map((name) => path.join('dist-test', name));
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=3', '--test-timeout=300000', ...files], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? 1);
