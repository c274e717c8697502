import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { BLOCK_TYPES } from '#lib/engine/directory/quantization.js';
import { BLOCKS, decodeBlocks } from '#lib/engine/formats/ggml-blocks.js';
import { PROJECT_ROOT } from '../../../tools/project.js';

/** What fixtures/make_ggml_goldens.py says of it. */
interface Golden {
  random: string;
  real: string;
  decoded: string;
}

const RANDOM_BLOCKS = 200;

/** The upper bytes of a linear congruential generator, as make_ggml_goldens.py has it. */
function randomBytes(count: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

/** A NaN may have any bits: which one a multiplication gives is up to the processor. */
function sha256(values: Float32Array): string {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const canonical = bits.map((word, i) => (Number.isNaN(values[i]) ? 0x7fc00000 : word));
  return createHash('sha256').update(canonical).digest('hex');
}

const goldens: Record<string, Golden> = JSON.parse(
  await readFile(join(PROJECT_ROOT, 'test/lib/engine/formats/fixtures/ggml-blocks.golden.json'), 'utf8'),
);

for (const type of BLOCK_TYPES) {
  test(`${type} decodes to the bits that the gguf Python package gives, of random blocks and of ggml's own`, () => {
    const { random, real, decoded } = goldens[type] ?? assert.fail();
    const { bytes, values } = BLOCKS[type];
    const blocks = decodeBlocks(randomBytes(RANDOM_BLOCKS * bytes), type);
    assert.equal(blocks.length, RANDOM_BLOCKS * values);
    assert.equal(sha256(blocks), random);
    assert.equal(sha256(decodeBlocks(Uint8Array.from(Buffer.from(real, 'base64')), type)), decoded);
  });
}
