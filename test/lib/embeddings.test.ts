import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { convert } from '#lib/engine/convert/convert.js';
import { embeddingsOf } from '#lib/request/embed.js';
import { temporaryDirectory } from '../tools/engines.js';
import { formulaPrompt } from '../tools/golden.js';
import { TINY_LLAMAS, writeTinyLlama } from '../tools/tiny-llama.js';

/** What scripts/make-embedding-goldens.py, which says more, got from Hugging Face transformers. */
interface Golden {
  vocabSize: number;
  requests: {
    promptLength: number;
    last: number[];
    mean: number[];
    cls: number[];
    logprobs: number[];
  }[];
}

/** Of the greatest number of a vector; where activations are rounded to bfloat16, it takes nearly as much. */
const TOLERANCE = 2e-2;

for (const name of ['gqa', 'qwen3'] as const) {
  describe(`embeddings and scores of ${name} beside Hugging Face transformers`, () => {
    const golden: Golden = JSON.parse(
      readFileSync(new URL(`../../test/goldens/embeddings/${name}.json`, import.meta.url), 'utf8'),
    );
    let llm: LLM;
    before(async () => {
      const dir = await temporaryDirectory();
      await writeTinyLlama(join(dir, 'source'), TINY_LLAMAS[name]);
      const engine = await convert(join(dir, 'source'), join(dir, 'engine'), { dtype: TINY_LLAMAS[name].dtype });
      // Steps of 64 tokens: the longest prompt takes several.
      llm = await LLM.load(engine, { executor: 'cpu', maxNumTokens: 64, maxBatchSize: 8 });
    });
    after(() => llm?.close());

    for (const pooling of ['last', 'mean', 'cls'] as const) {
      test(`pooling '${pooling}' is that of last_hidden_state`, async () => {
        const inputs = golden.requests.map(({ promptLength }) => ({
          tokens: formulaPrompt(promptLength, golden.vocabSize),
        }));
        const { embeddings } = await llm.embed(inputs, { pooling, normalize: false });
        for (const [i, request] of golden.requests.entries()) {
          const expected = request[pooling];
          const greatest = Math.max(...expected.map(Math.abs));
          assert.equal(embeddings[i]?.length, expected.length);
          for (const [j, value] of expected.entries()) {
            const error = Math.abs((embeddings[i]?.[j] ?? Number.NaN) - value);
            assert.ok(error <= TOLERANCE * greatest, `${request.promptLength} tokens: an error of ${error} at ${j}`);
          }
        }
      });
    }

    test('score() is the sum of the log-softmax', async () => {
      for (const { promptLength, logprobs } of golden.requests) {
        if (logprobs.length === 0) continue;
        const tokens = formulaPrompt(promptLength, golden.vocabSize);
        const start = promptLength - logprobs.length;
        const { scores } = await llm.score({ tokens: tokens.slice(0, start) }, [{ tokens: tokens.slice(start) }]);
        const [score] = scores;
        const sum = logprobs.reduce((a, b) => a + b, 0);
        assert.equal(score?.tokens.length, logprobs.length);
        assert.ok(
          Math.abs((score?.logprob ?? Number.NaN) - sum) < TOLERANCE * Math.abs(sum),
          `${score?.logprob}, ${sum}`,
        );
      }
    });
  });
}

test('an embedding is scaled to length 1, and one of zeros stays', () => {
  const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 0, totalTokens: 1 };
  const results = [
    [3, 4],
    [0, 0],
  ].map((vector) => ({ usage, embedding: Float32Array.from(vector) }));
  const { embeddings } = embeddingsOf(results as never, true);
  assert.deepEqual(embeddings, [Float32Array.of(0.6, 0.8), Float32Array.of(0, 0)]);
});
