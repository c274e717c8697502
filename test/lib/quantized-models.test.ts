import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { convert } from '#lib/engine/convert/convert.js';
import { temporaryDirectory } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import {
  TINY_LLAMAS,
  type TinyLlamaSpec,
  tinyLlamaTensors,
  writeSafetensors,
  writeTinyLlama,
} from '../tools/tiny-llama.js';
import { FORMATS, writeTinyQuantized } from '../tools/tiny-quantized.js';

// 320 inputs are more than one of the pieces that products are summed in; 96 heads' outputs are no multiple of a panel.
const SPEC: TinyLlamaSpec = { ...TINY_LLAMAS.untied, intermediateSize: 320, dtype: 'float32' };
const PROMPT = Array.from({ length: 40 }, (_, i) => (i * 37) % SPEC.vocabSize);

/** Logits over a prompt, and of tokens that are decoded one by one. */
async function logitsOf(engine: string): Promise<Float32Array> {
  const llm = await LLM.load(engine, { executor: 'cpu' });
  try {
    const { contextLogits, outputs } = await llm.generate(
      { tokens: PROMPT },
      { maxTokens: 4, temperature: 0, ignoreEos: true, returnContextLogits: true, returnGenerationLogits: true },
    );
    const [{ generationLogits } = assert.fail('no output')] = outputs;
    assert.ok(contextLogits && generationLogits);
    return Float32Array.of(...contextLogits.data, ...generationLogits.data);
  } finally {
    await llm.close();
  }
}

for (const format of FORMATS) {
  test(`${format} on the CPU gives the bits of logits that the dequantized model gives`, async () => {
    const dir = await temporaryDirectory();
    await writeTinyQuantized(join(dir, 'source'), SPEC, format);
    const kept = await convert(join(dir, 'source'), join(dir, 'kept'));
    const dequantized = await convert(kept, join(dir, 'dequantized'), { dtype: 'float32' });
    assert.deepEqual(await logitsOf(kept), await logitsOf(dequantized));
  });
}

for (const [quantization, largest] of [
  ['int8_wo', 128],
  ['int4_wo', 8],
] as const) {
  test(`${quantization} rounds the weights of each output to multiples of its scale when it loads`, async () => {
    const dir = await temporaryDirectory();
    await writeTinyLlama(join(dir, 'source'), SPEC);
    const kept = await convert(join(dir, 'source'), join(dir, 'kept'), { quantization, dtype: 'float32' });
    const rounded = tinyLlamaTensors(SPEC).map((tensor) => {
      if (!/_proj\.weight$/.test(tensor.name)) return tensor;
      const columns = tensor.shape[1] as number;
      const data = tensor.data.slice();
      for (let row = 0; row < data.length; row += columns) {
        const values = data.subarray(row, row + columns);
        const scale = Math.fround(values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / largest);
        for (const [i, value] of values.entries()) {
          const ratio = Math.fround(value / scale);
          const whole = Math.sign(ratio) * Math.round(Math.abs(ratio));
          values[i] = Math.min(largest - 1, Math.max(-largest, whole)) * scale;
        }
      }
      return { ...tensor, data };
    });
    await writeSafetensors(join(dir, 'source', 'model.safetensors'), rounded);
    const plain = await convert(join(dir, 'source'), join(dir, 'plain'), { dtype: 'float32' });
    assert.deepEqual(await logitsOf(kept), await logitsOf(plain));
  });
}

test('dummy weights of a quantized engine are refused', async () => {
  const dir = await temporaryDirectory();
  await writeTinyQuantized(join(dir, 'source'), SPEC, 'awq');
  const kept = await convert(join(dir, 'source'), join(dir, 'kept'));
  const load = LLM.load(kept, { executor: 'cpu', loadFormat: 'dummy' });
  await assert.rejects(load, failsWith('ERR_UNSUPPORTED', 'loadFormat', 'quantized'));
});
