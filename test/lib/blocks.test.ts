import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { convert } from '#lib/engine/convert/convert.js';
import { TINY_LLAMAS } from '../tools/tiny-llama.js';
import { ggufOf, quantizedTensors, wide } from './engine/formats/tiny-gguf.js';
import { temporaryDirectory } from './engine/helpers.js';

const PROMPT = { tokens: Array.from({ length: 40 }, (_, i) => (i * 37) % 160) };

for (const [name, spec] of Object.entries({
  llama: TINY_LLAMAS.untied,
  tied: { ...TINY_LLAMAS.untied, tied: true },
  qwen2: TINY_LLAMAS.qwen2,
  qwen3: TINY_LLAMAS.qwen3,
  phi3: TINY_LLAMAS.phi3,
})) {
  test(`an engine in blocks of all types computes what the same GGUF dequantized does: ${name}`, async (t) => {
    const dir = await temporaryDirectory(t);
    await writeFile(join(dir, 'x.gguf'), ggufOf(wide(spec), quantizedTensors(wide(spec))));
    const logprobs = async (dtype: 'auto' | 'float32'): Promise<number[]> => {
      const llm = await LLM.load(await convert(join(dir, 'x.gguf'), join(dir, dtype), { dtype }), { executor: 'cpu' });
      try {
        const { promptLogprobs = [] } = await llm.generate(PROMPT, { maxTokens: 1, promptLogprobs: true });
        return promptLogprobs.map((each) => each?.logprob ?? 0);
      } finally {
        await llm.close();
      }
    };
    const [blocks, floats] = [await logprobs('auto'), await logprobs('float32')];
    assert.equal(blocks.length, PROMPT.tokens.length);
    for (const [i, value] of blocks.entries()) {
      // 0.03 is what rounding the inputs of a product to 8 bits gives; the probabilities themselves are e^3 apart.
      assert.ok(Math.abs(value - (floats[i] ?? 0)) < 0.1, `token ${i}: ${value}, ${floats[i]}`);
    }
  });
}
