import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { convert } from '#lib/engine/convert/convert.js';
import { removeLeftovers, temporaryName } from '#lib/engine/convert/leftovers.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import { runProgram } from '../../../tools/programs.js';
import { TINY_LLAMAS, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { temporaryDirectory } from '../helpers.js';
import type { Work } from './programs/dies-converting.js';

for (const isThere of [false, true]) {
  const [before, after] = isThere ? ['over an engine', 'the engine that was there'] : ['a new engine', 'nothing'];
  test(`a process killed while it writes any file of ${before} leaves ${after}, and the next conversion removes what it wrote`, async (t) => {
    const dir = await temporaryDirectory(t);
    const [hf, whole, out] = [join(dir, 'hf'), join(dir, 'whole'), join(dir, isThere ? 'whole' : 'out')];
    await writeTinyLlama(hf, TINY_LLAMAS.text);
    const files = await readdir(await convert(hf, whole));
    const weights = await readFile(join(whole, 'rank0.safetensors'));
    for (const file of files) {
      const work: Work = { source: hf, out, file };
      const exit = await runProgram(new URL('./programs/dies-converting.js', import.meta.url), work);
      assert.equal(exit.signal, 'SIGKILL', exit.err);
      const [left, ...others] = (await readdir(dir)).sort();
      assert.match(left ?? '', /^\.(out|whole)\.part-/);
      assert.deepEqual(others, ['hf', 'whole']);
      await openEngine(whole);
    }
    await openEngine(await convert(hf, out));
    assert.ok(weights.equals(await readFile(join(out, 'rank0.safetensors'))));
    assert.deepEqual((await readdir(dir)).sort(), ['hf', ...new Set([basename(out), 'whole'])].sort());
  });
}

test('only what a dead process left is removed, and what another machine left only when it is old', async (t) => {
  const dir = await temporaryDirectory(t);
  const out = join(dir, 'out');
  const ours = await temporaryName(out);
  const [, machine = '', pid = '', start = ''] = /part-([0-9a-f]{8})-(\d+)-(\d+)-/.exec(ours) ?? [];
  assert.equal(pid, `${process.pid}`);
  const place = async (name: string): Promise<string> => {
    await mkdir(join(dir, name));
    await writeFile(join(dir, name, 'rank0.safetensors'), 'half');
    return name;
  };
  const age = async (name: string): Promise<void> => {
    for (const path of [join(dir, name, 'rank0.safetensors'), join(dir, name)]) await utimes(path, 1e9, 1e9);
  };
  const kept = [
    await place(ours),
    await place(ours.replace(machine, '01234567').replace(start, '1')), // of another machine
    await place('.out.part-2d7e5f0c-unknown'),
    await place('.other.part-unknown'),
    await place('out.part-unknown'),
  ];
  await age(ours);
  await age('.other.part-unknown');
  await place(ours.replace(`-${start}-`, `-${start}1-`)); // had our process id before us
  await place(`${ours.replace(`-${pid}-`, '-4194305-')}.replaced`); // of a process that has ended
  await age(await place(ours.replace(machine, '76543210')));
  await age(await place('.out.part-old'));
  await removeLeftovers(out);
  assert.deepEqual((await readdir(dir)).sort(), kept.sort());
  await removeLeftovers(join(dir, 'no', 'such', 'directory'));
});
