import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LLM, type Lora } from 'node-tensorrt-llm';
import { convert } from '#lib/engine/convert/convert.js';
import { temporaryDirectory } from '../tools/engines.js';
import { TINY_LLAMAS, writeTinyLlama } from '../tools/tiny-llama.js';

/** What scripts/make-lora-goldens.py, which describes it, got from transformers with the adapters merged into the weights. */
interface Golden {
  readonly model: 'text' | 'phi3';
  readonly prompt: readonly number[];
  readonly greedy: readonly number[];
  readonly logits: readonly (readonly number[])[];
}

const DIR = new URL('../../test/goldens/lora/', import.meta.url);
const { madeWith: _, ...goldens }: Record<string, Golden> = JSON.parse(
  readFileSync(new URL('lora.golden.json', DIR), 'utf8'),
);
const TOLERANCE = 1e-4; // of the greatest |logit|, as for exact models in reference.test.ts; the goldens are rounded to 1e-5

const engines = (['text', 'phi3'] as const).flatMap((model) =>
  [1, 2].map((tpSize) => ({
    model,
    tpSize,
    ofModel: Object.entries(goldens).filter(([, golden]) => golden.model === model),
  })),
);

for (const { model, tpSize, ofModel } of engines) {
  describe(`adapters beside transformers with merged weights, ${model} on ${tpSize} rank(s)`, () => {
    let llm: LLM;
    before(async () => {
      const dir = await temporaryDirectory();
      await writeTinyLlama(join(dir, 'source'), TINY_LLAMAS[model]);
      const engine = await convert(join(dir, 'source'), join(dir, 'engine'), { tpSize, dtype: 'float32' });
      llm = await LLM.load(engine, { executor: 'cpu', peftCache: {} });
    });
    after(() => llm?.close());

    const ask = ({ prompt, greedy }: Golden, lora?: Lora) =>
      llm.generate(
        { tokens: [...prompt] },
        { temperature: 0, ignoreEos: true, maxTokens: greedy.length, returnGenerationLogits: true, lora },
      );

    for (const [name, golden] of ofModel) {
      test(`${name}: the same tokens and logits`, async () => {
        const lora = await llm.readAdapter(fileURLToPath(new URL(name, DIR)));
        const [output] = (await ask(golden, lora)).outputs;
        assert.deepEqual([...(output?.tokens ?? [])], golden.greedy);
        const found = output?.generationLogits;
        const expected = golden.logits.flat();
        const scale = Math.max(...expected.map(Math.abs));
        expected.forEach((logit, i) => {
          const difference = Math.abs((found?.data[i] ?? Number.NaN) - logit);
          assert.ok(difference <= scale * TOLERANCE, `logit ${i} is ${found?.data[i]}; expected ${logit}`);
        });
      });
    }

    test('in one batch with each other and without an adapter, each has its own tokens', async () => {
      const loras = await Promise.all(ofModel.map(([name]) => llm.readAdapter(new URL(name, DIR))));
      const [first] = ofModel.map(([, golden]) => golden);
      assert.ok(first);
      const [bare, ...results] = await Promise.all([
        ask(first),
        ...ofModel.map(([, golden], i) => ask(golden, loras[i])),
      ]);
      assert.notDeepEqual([...(bare?.outputs[0]?.tokens ?? [])], first.greedy);
      assert.deepEqual(
        results.map(({ outputs }) => [...(outputs[0]?.tokens ?? [])]),
        ofModel.map(([, golden]) => golden.greedy),
      );
    });
  });
}
