// Each kind of model on a GPU beside Hugging Face transformers; skipped where there is none.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { convert } from '#lib/engine/convert/convert.js';
import { temporaryDirectory } from '../tools/engines.js';
import { greatestError, readGolden } from '../tools/golden.js';
import { withoutGpu } from '../tools/gpu.js';
import { TINY_LLAMAS, writeTinyLlama } from '../tools/tiny-llama.js';

const skip = await withoutGpu();
// Of the greatest |logit|. Weights and activations are rounded to float16; a wrong bias, norm, position or window is more.
const TOLERANCE = 0.02;

const KINDS = [
  'yarn-rope',
  'yarn-mscale',
  'biases',
  'mistral',
  'qwen2',
  'qwen2-window',
  'qwen3',
  'smollm3',
  'smollm3-window',
  'phi3',
] as const;

for (const name of KINDS) {
  test(`a GPU computes the logits of ${name} that transformers does, prompt and new tokens`, { skip }, async () => {
    const dir = await temporaryDirectory();
    await writeTinyLlama(join(dir, 'source'), TINY_LLAMAS[name]);
    const engine = await convert(join(dir, 'source'), join(dir, 'engine'), { dtype: 'float16' });
    const llm = await LLM.load(engine, { executor: 'cuda' });
    for (const request of readGolden(name).requests) {
      const { prompt, greedy, maxAbsLogit, label } = request;
      const tokens = [...prompt, ...greedy.slice(0, -1)];
      const { contextLogits } = await llm.generate({ tokens }, { maxTokens: 1, returnContextLogits: true });
      assert.ok(contextLogits);
      const atOnce = greatestError(request, contextLogits, prompt.length - 1, greedy.length) / maxAbsLogit;
      assert.ok(atOnce < TOLERANCE, `${label}: an error of ${atOnce} in the prompt`);
      const { outputs } = await llm.generate(
        { tokens: prompt },
        { maxTokens: greedy.length, temperature: 0, ignoreEos: true, returnGenerationLogits: true },
      );
      const { tokens: found = [], generationLogits } = outputs[0] ?? {};
      assert.ok(generationLogits);
      const same = greedy.findIndex((token, step) => found[step] !== token);
      const rows = same < 0 ? greedy.length : same + 1; // behind another token the two go on from different texts
      const decoded = greatestError(request, generationLogits, 0, rows) / maxAbsLogit;
      assert.ok(decoded < TOLERANCE, `${label}: an error of ${decoded} in ${rows} new tokens`);
    }
    await llm.close();
  });
}
