import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PROJECT_ROOT } from '../tools/project.js';

/** What the script says of a native/ of these files; empty where nothing is wrong. */
async function check(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'native-includes-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    const file = join(root, 'native', name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  const script = join(PROJECT_ROOT, 'scripts/check-native-includes.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script, root], { encoding: 'utf8' });
  assert.equal(status === 0, stderr === '', stderr);
  return stderr;
}

const include = (name: string): string => `// A file.\n#include <vector>\n\n#include "native/${name}"\n`;

const FORBIDDEN: readonly [file: string, included: string][] = [
  ['executor/types.h', 'executor/cpp/failure.h'],
  ['executor/cpp/failure.h', 'json/config_file.h'],
  ['json/config_file.h', 'embedded/request.h'],
  ['embedded/scheduler.cc', 'embedded/cpu/sampler.h'],
  ['embedded/scheduler.cc', 'embedded/cuda/sampler.h'],
  ['embedded/cuda/sampler.cu', 'embedded/cpu/sampler.h'],
  ['embedded/scheduler.h', 'addon/engine.h'],
  ['tensorrt_llm/engine.cc', 'embedded/checkpoint/config.h'],
  ['isolation/proxy.cc', 'executors/open.h'],
  ['addon/pump.cc', 'isolation/proxy_table.h'],
  ['addon/load.cc', 'embedded/executor_table.h'],
  ['text/utf8.h', 'executor/types.h'],
  ['another/room.h', 'executor/types.h'],
];
for (const [file, included] of FORBIDDEN) {
  test(`native/${file} may not include native/${included}`, async (t) => {
    assert.match(
      await check(t, { [file]: include(included) }),
      RegExp(`^native/${file}:4 includes native/${included}: `),
    );
  });
}

test('an include of another project is allowed in its rooms alone', async (t) => {
  const files = { 'addon/engine.h': '#include <napi.h>\n', 'text/utf8.h': '#include <napi.h>\n' };
  assert.equal(await check(t, files), 'native/text/utf8.h:1 includes napi.h: only addon may include it\n');
});

test('what the rooms allow passes, and so does the project', async (t) => {
  const allowed = {
    'executor/config.h': '#include "types.h"\n',
    'embedded/cpu/sampler.h': include('embedded/request.h'),
    'tensorrt_llm/engine.cc': include('json/config_file.h'),
    'addon/load.cc': include('executors/open.h') + include('isolation/proxy_table.h'),
    'isolation/host.cc': include('executors/open.h'),
  };
  assert.equal(await check(t, allowed), '');
  const { status, stderr } = spawnSync(process.execPath, [join(PROJECT_ROOT, 'scripts/check-native-includes.mjs')], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
});
