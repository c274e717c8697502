import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { addonDirectory } from '#lib/addon/addon.js';
import { temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { runProgram } from '../../tools/programs.js';
import { FAKE_HOST } from '../../tools/project.js';
import type { Outcome, Work } from './programs/fake-host.js';

let engine: string;
let prebuild: string;
before(async () => {
  engine = await tinyEngine();
  prebuild = await temporaryDirectory();
  const dir = join(prebuild, 'build/Release');
  await mkdir(dir, { recursive: true });
  await symlink(join(addonDirectory(), 'node_tensorrt_llm.node'), join(dir, 'node_tensorrt_llm.node'));
  await copyFile(FAKE_HOST, join(dir, 'node_tensorrt_llm_host'));
});

/** What becomes of a request to a host with each of these faults, in one process that must survive all of them. */
async function outcomesOf(faults: string[], unknownRows: Work['unknownRows'] = {}): Promise<Outcome[]> {
  const work: Work = { engine, faults, unknownRows };
  const exit = await runProgram(new URL('./programs/fake-host.js', import.meta.url), work, {
    env: { NODE_TENSORRT_LLM_PREBUILD: prebuild },
  });
  assert.deepEqual({ status: exit.status, signal: exit.signal }, { status: 0, signal: null }, exit.err);
  return exit.told as Outcome[];
}

test('whatever nonsense a host answers, it is ERR_EXECUTOR_FAILED, and takes no memory', async () => {
  const listed = execFileSync(FAKE_HOST, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  const faults = listed.map((line) => line.split('\t')[1] ?? '');
  assert.ok(faults.length > 40);
  const outcomes = await outcomesOf(faults);
  assert.deepEqual(
    outcomes.map(({ fault, code, message }) => ({ fault, code, message })),
    outcomes.map(({ fault, message }) => ({ fault, code: 'ERR_EXECUTOR_FAILED', message })),
  );
  assert.equal(outcomes.length, faults.length);
  const [first, last] = [outcomes[0], outcomes.at(-1)];
  assert.ok(first && last && last.mostResidentMb - first.mostResidentMb < 200, JSON.stringify([first, last]));
});

test('rows of unknown and of ended requests are counted, and harm none', async () => {
  const outcomes = await outcomesOf(['', 'a row of an unknown request', 'rows after the end'], {
    'rows after the end': 2,
  });
  const summary = outcomes.map(({ code, text, unknownRows }) => ({ code, text, unknownRows }));
  assert.deepEqual(summary, [
    { code: undefined, text: 'abc', unknownRows: 0 },
    { code: undefined, text: 'c', unknownRows: 1 },
    { code: undefined, text: 'abc', unknownRows: 2 },
  ]);
});

test('the words of an error that are no UTF-8 are replaced', async () => {
  const [outcome] = await outcomesOf(['an error that is no UTF-8']);
  assert.equal(outcome?.code, 'ERR_INTERNAL');
  assert.equal(outcome?.message, '\uFFFD\uFFFD broken \uFFFD');
});
