import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { NODE_VERSIONS } from '../tools/node-versions.js';
import { PROJECT_ROOT } from '../tools/project.js';
import { readSections } from './markdown.js';

/** A user's project with `packages`: names, and the directories in the project's node_modules that they are. */
async function makeApp(packages: Readonly<Record<string, string>>): Promise<string> {
  const app = await temporaryDirectory();
  for (const dir of ['engines', 'node_modules', 'node_modules/@langchain']) await mkdir(join(app, dir));
  await symlink(PROJECT_ROOT, join(app, 'node_modules/node-tensorrt-llm'));
  for (const [name, dir] of Object.entries(packages)) {
    await symlink(join(PROJECT_ROOT, 'node_modules', dir), join(app, 'node_modules', name));
  }
  await symlink(await tinyEngine(), join(app, 'engines/smollm2'));
  return app;
}

for (const { document, packages, major } of [
  { document: 'docs/ai-sdk.md', packages: { ai: 'ai-6' }, major: 20 },
  { document: 'docs/ai-sdk.md', packages: { ai: 'ai-7' }, major: 22 },
  { document: 'docs/langchain.md', packages: { '@langchain/core': '@langchain/core' }, major: 20 },
]) {
  describe(`with ${Object.values(packages)} on Node.js ${major}, of ${document}`, () => {
    let app: string;
    before(async () => {
      app = await makeApp(packages);
    });
    const node = NODE_VERSIONS.find((each) => each.major === major)?.node as string;
    for (const { title, blocks } of readSections(document)) {
      for (const { language, code } of blocks) {
        assert.equal(language, 'js');
        test(`the program of ${title} prints an answer`, async () => {
          const program = join(app, `${title}.mjs`);
          await writeFile(program, code);
          const { stdout } = await promisify(execFile)(node, [program], { cwd: app });
          assert.notEqual(stdout, '');
        });
      }
    }
  });
}
