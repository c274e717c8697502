import assert from 'node:assert/strict';
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { runProgram } from '../../tools/programs.js';
import { PROJECT_ROOT } from '../../tools/project.js';
import type { Work } from './programs/import.js';

// The loader runs once in a process, so each case has its own.
async function importIn(work: Omit<Work, 'engine'>): Promise<unknown[]> {
  const program = new URL('./programs/import.js', import.meta.url);
  const { status, told, err } = await runProgram(program, { engine: await tinyEngine(), ...work });
  assert.deepEqual({ status, err }, { status: 0, err: '' });
  return told;
}

test('on a platform without a build the package imports, and LLM.load fails with its code and the platform', async () => {
  const [imported, error] = await importIn({ specifier: 'node-tensorrt-llm', platform: 'darwin' });
  assert.equal(imported, 'imported');
  assert.match(String(error), /^LLMError ERR_PLATFORM_UNSUPPORTED .*darwin-x64.*Linux x64/);
});

test('a missing addon is one error that says where it was looked for and how to fix it', async () => {
  const root = await temporaryDirectory();
  for (const name of ['package.json', 'dist'])
    await cp(join(PROJECT_ROOT, name), join(root, name), { recursive: true });
  await symlink(join(PROJECT_ROOT, 'node_modules'), join(root, 'node_modules'));
  const [imported, error] = await importIn({ specifier: join(root, 'dist/index.js') });
  assert.equal(imported, 'imported');
  assert.match(String(error), /^LLMError ERR_ADDON_LOAD [\s\S]*npm install/);
  assert.ok(String(error).includes(root), String(error));
});
