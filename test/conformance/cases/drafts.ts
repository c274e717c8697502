import assert from 'node:assert/strict';
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { GenerateOptions, LLM, Result } from 'node-tensorrt-llm';
import { temporaryDirectory } from '../../tools/engines.js';
import { failsAbout } from '../../tools/fails-with.js';
import { GREEDY, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

/** Tokens that repeat, so that prompt lookup finds them. */
const REPEATING: { tokens: number[] } = { tokens: [0, 1, 2, 3].flatMap(() => [70, 71, 72, 73, 74, 75]) };

const FEW = { 5: 30, 6: 30, 7: 30 }; // tokens, which repeat soon

const SAMPLING: readonly GenerateOptions[] = [
  { temperature: 1, seed: 3, n: 3, logitBias: FEW },
  { temperature: 2, seed: 4, topK: 5, repetitionPenalty: 1.1, logitBias: FEW },
  { temperature: 1, seed: 5, topP: 0.9, frequencyPenalty: 0.2, noRepeatNgramSize: 8, logitBias: FEW },
  { temperature: 1, seed: 6, minP: 0.05, stopTokens: [[5, 6, 7]], logitBias: FEW },
  { temperature: 0, badTokens: [[5, 5]], minTokens: 10, logitBias: FEW },
];

conformance(
  ['promptLookup', 'a model'],
  'prompt lookup changes no token of a greedy text, and is on or off as the request or else the engine says',
  async ({ llm, load }) => {
    const options = { ...GREEDY, maxTokens: 24 };
    const plain = await llm.generate(REPEATING, options);
    const before = llm.stats();
    const drafted = await llm.generate(REPEATING, { ...options, promptLookup: true });
    assert.deepEqual(tokensOf(drafted), tokensOf(plain));
    assert.ok(llm.stats().draftTokens > before.draftTokens);
    const always = await load({ decoding: { promptLookup: {} } });
    await always.generate(REPEATING, { ...options, promptLookup: false });
    assert.equal(always.stats().draftTokens, 0);
    assert.deepEqual(tokensOf(await always.generate(REPEATING, options)), tokensOf(plain));
    assert.ok(always.stats().draftTokens > 0);
  },
);

conformance(
  ['promptLookup', 'logitBias', 'a model', 'batch invariance'],
  'prompt lookup changes no draw and no logprob, whatever the sampling',
  async ({ llm }) => {
    const run = (promptLookup: boolean): Promise<Result[]> =>
      Promise.all(
        SAMPLING.map((kind) =>
          llm.generate(REPEATING, { ...kind, ignoreEos: true, maxTokens: 40, topLogprobs: 2, promptLookup }),
        ),
      );
    const before = llm.stats();
    const drafted = await run(true);
    assert.ok(llm.stats().draftTokensAccepted > before.draftTokensAccepted);
    const plain = await run(false);
    assert.deepEqual(
      drafted.map(({ outputs }) => outputs),
      plain.map(({ outputs }) => outputs),
    );
  },
);

conformance(
  ['draft', 'promptLookup', 'a model'],
  'a draft saves steps as far as it comes true, and changes no token',
  async ({ llm }) => {
    const options = { ...GREEDY, maxTokens: 12, promptLookup: true };
    const { tokens } = REPEATING;
    const plain = tokensOf(await llm.generate({ tokens }, options));
    for (const [draft, accepted] of [
      [plain, 10],
      [[...plain.slice(0, 4), (plain[4] as number) === 5 ? 6 : 5, ...plain.slice(5)], 3],
      [[(plain[0] as number) === 5 ? 6 : 5], 0],
    ] as const) {
      const before = llm.stats();
      // Of a salt of its own the prompt is computed whole: the first token comes with it, before there are drafts.
      const drafting = { promptLookup: false, draft: { tokens: draft }, cacheSalt: `draft ${accepted}` };
      const result = await llm.generate({ tokens }, { ...options, ...drafting });
      assert.deepEqual(tokensOf(result), plain);
      const { steps, draftTokensAccepted } = llm.stats();
      assert.equal(draftTokensAccepted - before.draftTokensAccepted, accepted);
      const { metrics } = result;
      assert.equal(metrics?.draftTokensAccepted, accepted);
      assert.ok((metrics?.draftTokens ?? 0) >= accepted);
      assert.ok(steps - before.steps <= 14 - accepted, `${steps - before.steps} steps`);
    }
  },
);

conformance(
  ['a model', 'batch invariance', 'draft model'],
  'a draft model changes no token of greedy texts, whether it agrees or not, and a request may do without it',
  async ({ llm, load, loadArguments: [engineDir] }) => {
    const prompts = [1, 2, 3, 4].map((n) => ({ tokens: Array.from({ length: 20 * n }, (_, i) => (i * n) % 200) }));
    const options = { ...GREEDY, maxTokens: 24 };
    const textsOf = async (from: LLM) =>
      (await Promise.all(prompts.map((p) => from.generate(p, options)))).map(tokensOf);
    const plain = await textsOf(llm);
    const same = await load({ decoding: { draftModel: { engineDir } } });
    assert.deepEqual(await textsOf(same), plain);
    const { draftTokens, draftTokensAccepted } = same.stats();
    assert.ok(draftTokensAccepted > draftTokens / 2, `${draftTokensAccepted} of ${draftTokens}`);
    await same.generate(REPEATING, { ...options, draftModel: false });
    assert.equal(same.stats().draftTokens, draftTokens);

    const other = await load({
      decoding: { draftModel: { engineDir: await otherEngine(engineDir), maxDraftTokens: 2 } },
    });
    const aborted = other.stream(REPEATING, { ...options, maxTokens: 500 });
    for await (const _ of aborted) {
      if (other.stats().draftTokens > 0) aborted.abort(); // in the middle
    }
    assert.deepEqual(await textsOf(other), plain);
    const rejecting = other.stats();
    assert.ok(rejecting.draftTokensAccepted < rejecting.draftTokens);
    assert.equal(rejecting.kvBlocksUsed, 0);
  },
);

conformance(
  ['logitBias', 'a model', 'batch invariance', 'draft model'],
  'a draft model changes no draw, no logprob and no stop, whatever the sampling',
  async ({ llm, load, loadArguments: [engineDir] }) => {
    const drafting = await load({ decoding: { draftModel: { engineDir } } });
    const run = (from: LLM): Promise<Result[]> =>
      Promise.all(
        SAMPLING.map((kind) => from.generate(REPEATING, { ...kind, ignoreEos: true, maxTokens: 40, topLogprobs: 2 })),
      );
    const [drafted, plain] = [await run(drafting), await run(llm)];
    assert.deepEqual(
      drafted.map(({ outputs }) => outputs),
      plain.map(({ outputs }) => outputs),
    );
    const { draftTokens, draftTokensAccepted } = drafting.stats();
    assert.ok(draftTokens > draftTokensAccepted && draftTokensAccepted > 0, `${draftTokensAccepted} of ${draftTokens}`);
  },
);

/** The engine with other angles in its attention, so that it says something else. */
async function otherEngine(engine: string): Promise<string> {
  const dir = await temporaryDirectory();
  for (const name of await readdir(engine)) {
    if (name !== 'config.json') await symlink(resolve(engine, name), join(dir, name));
  }
  const config = JSON.parse(await readFile(join(engine, 'config.json'), 'utf8')) as { pretrained_config: object };
  const pretrained_config = { ...config.pretrained_config, rotary_base: 3 };
  await writeFile(join(dir, 'config.json'), JSON.stringify({ ...config, pretrained_config }));
  return dir;
}

conformance(
  ['a model'],
  'a draft model is asked for in vain where the engine was loaded without one: draftModel is refused by name',
  async ({ llm }) => {
    await assert.rejects(
      llm.generate(REPEATING, { ...GREEDY, maxTokens: 2, draftModel: true }),
      failsAbout('draftModel', 'ERR_UNSUPPORTED', /^draftModel is /),
    );
  },
);
