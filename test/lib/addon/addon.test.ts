import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { PROJECT_ROOT } from '../../tools/project.js';

// The loader runs once in a process, so each case has its own.
async function loadIn(prelude: string, specifier = 'node-tensorrt-llm'): Promise<string> {
  const program = `
    ${prelude}
    const { LLM } = await import('${specifier}');
    console.log('imported');
    await LLM.load(process.argv[1]).catch(({ name, code, message }) => console.log(name, code, message));
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, await tinyEngine()], {
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  return stdout;
}

test('on a platform without a build the package imports, and LLM.load fails with its code and the platform', async () => {
  const out = await loadIn(`Object.defineProperty(process, 'platform', { value: 'darwin' });`);
  assert.match(out, /^imported\nLLMError ERR_PLATFORM_UNSUPPORTED .*darwin-x64.*Linux x64/);
});

test('a missing addon is one error that says where it was looked for and how to fix it', async () => {
  const root = await temporaryDirectory();
  for (const name of ['package.json', 'dist'])
    await cp(join(PROJECT_ROOT, name), join(root, name), { recursive: true });
  await symlink(join(PROJECT_ROOT, 'node_modules'), join(root, 'node_modules'));
  const out = await loadIn('', join(root, 'dist/index.js'));
  assert.match(out, /^imported\nLLMError ERR_ADDON_LOAD [\s\S]*npm install/);
  assert.ok(out.includes(root), out);
});
