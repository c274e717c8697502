import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT_ROOT } from '../tools/project.js';

test('docs/troubleshooting.md is what lib/base/errors.ts makes', () => {
  execFileSync(process.execPath, [join(PROJECT_ROOT, 'scripts/make-troubleshooting.mjs'), '--check']);
});
