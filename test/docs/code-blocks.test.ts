import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory, tinyEngine } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';
import { tinyAdapterTensors, writeAdapter } from '../tools/tiny-adapter.js';
import { readSections } from './markdown.js';

// A block that imports nothing of the package goes on from these lines.
const PRELUDE = `
  import { ERROR_CODES, LLM, LLMError } from 'node-tensorrt-llm';
  const llm = await LLM.load('engines/smollm2');
`;

/** A user's project, with the package, the engine and the model that the examples name. */
let app: string;
before(async () => {
  app = await temporaryDirectory();
  const engine = await tinyEngine();
  for (const dir of ['node_modules', 'engines', 'models']) await mkdir(join(app, dir));
  await writeAdapter(join(app, 'adapters/pirate'), await tinyAdapterTensors(engine, 1));
  await symlink(PROJECT_ROOT, join(app, 'node_modules/node-tensorrt-llm'));
  await symlink(engine, join(app, 'engines/smollm2'));
  await symlink(join(dirname(engine), 'source'), join(app, 'models/my-llama'));
});

for (const file of ['README.md', 'docs/api.md', 'docs/tool-calls.md']) {
  describe(`in ${file}`, () => {
    const blocks = readSections(file).flatMap(({ title, blocks }) => blocks.map((block) => ({ title, ...block })));
    const programs = blocks.filter(({ language }) => language === 'js');

    test('each code block is a program that can be run', () => {
      assert.ok(programs.length > 0);
      assert.equal(programs.length, blocks.length);
    });

    // One that starts with a comment such as "// worker.mjs" is that file, and another runs it.
    const nameOf = (code: string): string | undefined => /^\/\/ (\w+\.mjs)\n/.exec(code)?.[1];
    before(async () => {
      for (const { code } of programs) {
        const name = nameOf(code);
        if (name !== undefined) await writeFile(join(app, name), code);
      }
    });

    for (const [i, { title, code }] of programs.entries()) {
      if (nameOf(code) !== undefined) continue;
      test(`example ${i + 1}, of ${title}, runs`, async () => {
        const program = join(app, `example-${i + 1}.mjs`);
        await writeFile(program, code.includes("from 'node-tensorrt-llm'") ? code : PRELUDE + code);
        await promisify(execFile)(process.execPath, [program], { cwd: app });
      });
    }
  });
}
