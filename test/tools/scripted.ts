import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LLM, type LoadOptions, type Result } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine } from './engines.js';
import { failsWith } from './fails-with.js';

/** What a script may say; test/scripted-executor/script.h says what it means. */
export type Script = Parameters<typeof scriptedEngine>[0];

/** Runs with an LLM of the scripted executor, which is closed at the end. */
export async function withScript(
  script: Script,
  run: (llm: LLM) => Promise<void>,
  options: LoadOptions = {},
): Promise<void> {
  const llm = await LLM.load(await scriptedEngine(script), { ...options, executor: { library: SCRIPTED_LIBRARY } });
  try {
    await run(llm);
  } finally {
    await llm.close();
  }
}

/** An LLM that says what the prompt has between \\x02 and \\x03; `template` makes the prompt. */
export async function loadEcho(template: string): Promise<LLM> {
  const dir = await scriptedEngine({ echo: true });
  await writeFile(join(dir, 'chat_template.jinja'), template);
  return LLM.load(dir, { executor: { library: SCRIPTED_LIBRARY } });
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** What the scripted executor answers to a prompt that ends in `lastToken`. */
export const lettersOf = (lastToken: number, tokens: number): string =>
  Array.from({ length: tokens }, (_, i) => LETTERS[(lastToken + i) % 26]).join('');

/** Requests 0, 1 ... `count - 1`, together; the prompt of each ends in its number modulo 200. */
export const startAll = (llm: LLM, count: number, maxTokens: (i: number) => number): Promise<Result>[] =>
  Array.from({ length: count }, (_, i) => llm.generate({ tokens: [i % 200] }, { maxTokens: maxTokens(i) }));

/** Asserts that of 18 requests every third has no memory for its answer, and that the others end as they should. */
export async function failsInEveryThird(llm: LLM): Promise<void> {
  const settled = await Promise.allSettled(startAll(llm, 18, () => 5));
  for (const [i, each] of settled.entries()) {
    if (i % 3 === 2) {
      assert.ok(each.status === 'rejected' && failsWith('ERR_OUT_OF_MEMORY', 'logits')(each.reason));
    } else {
      assert.equal(each.status === 'fulfilled' && each.value.text, lettersOf(i, 5));
    }
  }
  assert.equal(llm.stats().unknownRows, 0);
}
