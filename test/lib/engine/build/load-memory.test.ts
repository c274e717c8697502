import assert from 'node:assert/strict';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import {
  checkCheckpointMemory,
  checkTensorRtMemory,
  type LoadSizes,
  type RankGpu,
} from '#lib/engine/build/load-memory.js';
import { rankMemory } from '#lib/engine/build/rank-memory.js';
import { planConversion } from '#lib/engine/convert/convert.js';
import { type EngineDirectory, openEngine } from '#lib/engine/directory/directory.js';
import { temporaryDirectory as directoryForFile } from '../../../tools/engines.js';
import { failsWith } from '../../../tools/fails-with.js';
import { hollowCheckpoint, NEMOTRON } from '../../../tools/hollow-checkpoint.js';
import { temporaryDirectory } from '../helpers.js';

const LLAMA_8B = {
  ...NEMOTRON,
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
};
const WEIGHTS = 16_060_522_496; // bytes: 8,030,261,248 weights, as the model card of Llama 3.1 8B counts them
const KV_PER_TOKEN = 2 * 2 * 32 * 8 * 128;

let source: string;
before(async () => {
  source = await directoryForFile();
  await hollowCheckpoint(source, LLAMA_8B);
});

/** An engine of the 8B whose weights are holes. */
async function engine(
  t: TestContext,
  options: Parameters<typeof planConversion>[1] & { rankBytes?: number; extension?: string } = {},
): Promise<EngineDirectory> {
  const { rankBytes = WEIGHTS, extension = 'safetensors', ...conversion } = options;
  const dir = join(await temporaryDirectory(t), 'engine');
  await mkdir(dir);
  const config = await planConversion(source, conversion);
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  for (let rank = 0; rank < config.pretrained_config.mapping.world_size; rank++) {
    const handle = await open(join(dir, `rank${rank}.${extension}`), 'w');
    await handle.truncate(rankBytes);
    await handle.close();
  }
  return openEngine(dir);
}

const gpu = (freeBytes: number, id = 0): RankGpu => ({
  name: `GPU ${id} (NVIDIA L4)`,
  freeBytes,
  computeCapability: '8.9',
});

/** What a step of the engine's default limits works in. */
function workspaceOf({ config }: EngineDirectory, maxSeqLen = 131_072): number {
  assert(config);
  const { max_batch_size: maxBatchSize, max_num_tokens: maxNumTokens } = config.build_config;
  const target = {
    tpSize: 1,
    ppSize: 1,
    parallelEmbedding: false,
    dtype: 'bfloat16',
    quantization: undefined,
  } as const;
  return rankMemory(config.pretrained_config, target, { maxSeqLen, maxBatchSize, maxNumTokens }).workspace;
}

const refused = (message: RegExp) => failsWith('ERR_OUT_OF_MEMORY', message);

test('a checkpoint fits where its weights, its workspace and one full request do, to the byte', async (t) => {
  const dir = await engine(t);
  const need = Math.ceil(WEIGHTS + workspaceOf(dir) + (131_072 * KV_PER_TOKEN) / 0.9);
  await checkCheckpointMemory(dir, [gpu(need)], {});
  await assert.rejects(checkCheckpointMemory(dir, [gpu(need - 1)], {}), refused(/of 131072 tokens \(maxSeqLen\)/));
});

test('a KV cache in 8 bits takes a byte for each number, a scale for each token and head, and room to expand a layer', async (t) => {
  const dir = await engine(t);
  const options: LoadSizes = { kvCache: { dtype: 'int8' } };
  assert(dir.config);
  const layer = 2 * 2 * 8 * 128 * (131_072 + dir.config.build_config.max_num_tokens);
  const need = Math.ceil(WEIGHTS + workspaceOf(dir) + layer + (131_072 * 32 * 2 * 8 * (128 + 4)) / 0.9);
  await checkCheckpointMemory(dir, [gpu(need)], options);
  await assert.rejects(checkCheckpointMemory(dir, [gpu(need - 1)], options), refused(/of 131072 tokens/));
});

test('what does not fit is told with what is free, what is needed for what, and each way out that would fit', async (t) => {
  const dir = await engine(t);
  const free = 24e9;
  const room = Math.floor((0.9 * (free - WEIGHTS - workspaceOf(dir))) / KV_PER_TOKEN);
  await assert.rejects(
    checkCheckpointMemory(dir, [gpu(free)], {}),
    refused(
      new RegExp(
        String.raw`^GPU 0 \(NVIDIA L4\) has 24\.0 GB free; expected 36\.\d GB: 16\.1 GB for the weights, 1\.\d GB to work in and 19\.1 GB for ` +
          String.raw`the KV cache of one request of 131072 tokens \(maxSeqLen\)\. Stop what else uses the GPU, pass maxSeqLen: ${room} or less, ` +
          String.raw`or a kvCache\.maxTokens of that, or split it over 2 such GPUs \(tpSize: 2\)\.$`,
      ),
    ),
  );
  await checkCheckpointMemory(dir, [gpu(free)], { maxSeqLen: room });
  await checkCheckpointMemory(dir, [gpu(free)], { kvCache: { maxTokens: room } });
});

test('a quantization is named where it would fit on as many GPUs, and nothing that would not', async (t) => {
  const dir = await engine(t);
  const small = { maxSeqLen: 4096 };
  await assert.rejects(
    checkCheckpointMemory(dir, [gpu(14e9)], small),
    refused(/uses the GPU, convert the model again with quantization 'fp8_rowwise', or split it over 2 such/),
  );
  await assert.rejects(
    checkCheckpointMemory(dir, [gpu(2e9)], small),
    refused(/uses the GPU, or lower maxNumTokens or/),
  );
});

test('options that shrink the cache or the step shrink what is needed', async (t) => {
  const dir = await engine(t);
  const need = Math.ceil(WEIGHTS + workspaceOf(dir) + 1e9);
  for (const kvCache of [{ maxBytes: 1e9 }, { maxTokens: Math.floor(1e9 / KV_PER_TOKEN) }]) {
    await checkCheckpointMemory(dir, [gpu(need)], { kvCache });
  }
  const half: LoadSizes = { kvCache: { maxBytes: 1e9, freeMemoryFraction: 0.5 } };
  await assert.rejects(checkCheckpointMemory(dir, [gpu(need)], half), refused(/2\.0 GB for the KV cache/));
  const step: LoadSizes = { kvCache: { maxBytes: 1e9 }, maxNumTokens: 8192 };
  await assert.rejects(checkCheckpointMemory(dir, [gpu(need)], step), refused(/GB to work in/));
});

test('the GPU with the least free memory decides for ranks, and a larger number of them is named', async (t) => {
  const dir = await engine(t, { tpSize: 2, rankBytes: WEIGHTS / 2 });
  const sizes = { maxSeqLen: 4096 };
  await checkCheckpointMemory(dir, [gpu(12e9), gpu(12e9, 1)], sizes);
  await assert.rejects(
    checkCheckpointMemory(dir, [gpu(80e9), gpu(8e9, 1)], sizes),
    refused(/^GPU 1 \(NVIDIA L4\) has 8\.0 GB free.*split it over 4 such GPUs \(tpSize: 4\)/),
  );
});

test('weights that are rounded when they are loaded count as they lie on the GPU', async (t) => {
  const dir = await engine(t, { quantization: 'int8_wo' });
  await checkCheckpointMemory(dir, [gpu(12e9)], { maxSeqLen: 4096 });
  await assert.rejects(
    checkCheckpointMemory(dir, [gpu(8e9)], { maxSeqLen: 4096 }),
    refused(/ 9\.1 GB for the weights.*uses the GPU, or split it over 2 such GPUs/),
  );
});

test('where no free memory is known, nothing is refused', async (t) => {
  await checkCheckpointMemory(await engine(t), [], {});
});

test('a TensorRT engine is refused where a rank is larger than the free memory', async (t) => {
  const dir = await engine(t, { extension: 'engine' });
  await checkTensorRtMemory(dir, [gpu(WEIGHTS)]);
  await assert.rejects(
    checkTensorRtMemory(dir, [gpu(WEIGHTS), gpu(8e9, 1)]),
    refused(
      /^GPU 1 .* has 8\.0 GB free; expected 16\.1 GB for the weights of a rank\. Stop .*, or build the engine from/,
    ),
  );
});
