// 100,000 positions beside Hugging Face transformers: `npm run test:long-context`, or with `-- cuda` on a GPU. It takes a minute.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LLM, type Logits } from 'node-tensorrt-llm';
import { convert } from '#lib/engine/convert/convert.js';
import { temporaryDirectory } from '../tools/engines.js';
import { formulaPrompt } from '../tools/golden.js';
import { TINY_LLAMAS, writeTinyLlama } from '../tools/tiny-llama.js';

/** What scripts/make-long-context-golden.py, which describes it, got. */
interface Golden {
  weightsSha256: string;
  promptLength: number;
  greedy: number[];
  rows: Row[];
}
interface Row {
  /** Of the last token that the row depends on. */
  position: number;
  /** Those of the highest logits, falling. */
  tokens: number[];
  logits: number[];
  logsumexp: number;
  maxAbsLogit: number;
}

const executor = process.argv[2] === 'cuda' ? 'cuda' : 'cpu';
const file = new URL('../../test/goldens/long-context.json', import.meta.url);
const golden: Golden = JSON.parse(readFileSync(file, 'utf8'));
const SPEC = TINY_LLAMAS['long-context'];
const prompt = formulaPrompt(golden.promptLength, SPEC.vocabSize);

// Of the greatest |logit|: the CPU keeps keys and values as float16, and a GPU all between the layers.
const TOLERANCE = executor === 'cpu' ? 2e-3 : 2e-2;
const GREEDY = { temperature: 0, ignoreEos: true, maxTokens: golden.greedy.length };

let llm: LLM;
before(async () => {
  const dir = await temporaryDirectory();
  await writeTinyLlama(join(dir, 'source'), SPEC);
  const engine = await convert(join(dir, 'source'), join(dir, 'engine'), { dtype: SPEC.dtype });
  const weights = await readFile(join(engine, 'rank0.safetensors'));
  const sha256 = createHash('sha256').update(weights).digest('hex');
  assert.equal(sha256, golden.weightsSha256, 'other weights; if they should be: scripts/make-long-context-golden.py');
  llm = await LLM.load(engine, { executor, maxBatchSize: 4, kvCache: { maxTokens: 110_000 } });
});
after(() => llm?.close());

test('prompt and output have the logits of the reference', async () => {
  const { outputs, contextLogits } = await llm.generate(
    { tokens: prompt },
    { ...GREEDY, returnContextLogits: true, returnGenerationLogits: true },
  );
  const [{ tokens, generationLogits } = assert.fail('no output')] = outputs;
  assert.ok(contextLogits && generationLogits);
  for (const row of golden.rows) {
    const step = row.position - prompt.length + 1; // that chooses the token behind it
    if (step <= 0) checkRow(row, contextLogits, row.position);
    if (step >= 0) checkRow(row, generationLogits, step);
  }
  assert.deepEqual([...tokens], golden.greedy);
});

test('a prompt that starts alike is not computed again, and goes on alike', async () => {
  const result = await llm.generate(
    { tokens: [...prompt, ...golden.greedy.slice(0, 1)] },
    { ...GREEDY, maxTokens: 15 },
  );
  assert.ok(result.usage.cachedTokens > prompt.length - 200, `${result.usage.cachedTokens} tokens were cached`);
  assert.deepEqual([...(result.outputs[0]?.tokens ?? [])], golden.greedy.slice(1));
});

function checkRow(row: Row, found: Logits, at: number): void {
  const logits = found.data.subarray(at * found.columns, (at + 1) * found.columns);
  const near = (actual: number, expected: number, what: string): void => {
    const error = Math.abs(actual - expected);
    assert.ok(error <= TOLERANCE * row.maxAbsLogit, `${what} behind position ${row.position} is off by ${error}`);
  };
  row.tokens.forEach((token, i) => {
    near(logits[token] ?? Number.NaN, row.logits[i] ?? Number.NaN, `the logit of token ${token}`);
  });
  near(Math.log(logits.reduce((sum, each) => sum + Math.exp(each), 0)), row.logsumexp, 'the sum of all logits');
}
