import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { tinyEngine } from '../tools/engines.js';

// The loader runs once in a process, so each case has its own.
async function loadIn(prelude: string, env: Record<string, string> = {}): Promise<string> {
  const program = `
    ${prelude}
    const { LLM } = await import('node-tensorrt-llm');
    console.log('imported');
    await LLM.load(process.argv[1]).catch(({ name, code, message }) => console.log(name, code, message));
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, await tinyEngine()], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  assert.equal(stderr, '');
  return stdout;
}

test('on a platform without a build the package imports, and LLM.load fails with its code and the platform', async () => {
  const out = await loadIn(`Object.defineProperty(process, 'platform', { value: 'darwin' });`);
  assert.match(out, /^imported\nLLMError ERR_PLATFORM_UNSUPPORTED .*Linux x64.*darwin-x64/);
});

test('a missing addon is one error that says where it was looked for and how to mend it', async () => {
  const out = await loadIn('', { PREBUILDS_ONLY: '1' }); // node-gyp-build then passes over build/Release
  assert.match(out, /^imported\nLLMError ERR_ADDON_LOAD [\s\S]*npm install/);
});
