import { test } from 'node:test';
import { scriptedEngine, tinyEngine } from '../../tools/engines.js';
import { ends, runProgram } from '../../tools/programs.js';
import type { Work as FailingInputs } from './programs/failing-inputs.js';
import type { Work as UnreadErrors } from './programs/unread-errors.js';

// Node ends a process at its first unhandled rejection, with status 1.
test('an error that nobody reads is no unhandled rejection, however the request fails', async () => {
  const work: UnreadErrors = { engine: await tinyEngine(), failing: await scriptedEngine({ fail_every: 1 }) };
  const exit = await runProgram(new URL('./programs/unread-errors.js', import.meta.url), work);
  ends(exit, { status: 0, told: ['no rejection'] });
});

test('an error of one of several inputs that nobody reads but by their promise is told once', async () => {
  const work: FailingInputs = { engine: await tinyEngine() };
  const exit = await runProgram(new URL('./programs/failing-inputs.js', import.meta.url), work);
  ends(exit, { status: 0, told: [{ caught: 1 }] });
});
