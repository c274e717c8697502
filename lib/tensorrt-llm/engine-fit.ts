import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EngineDirectory } from '../engine/directory.js';
import { parseJsonObject } from '../engine/json.js';
import { architectureOf } from './architectures.js';
import type { Gpu } from './gpus.js';

/** What of a TensorRT engine decides where it runs. */
export interface EngineNeeds {
  /** Of the TensorRT-LLM that built it. */
  version: string;
  /** What it computes in: `pretrained_config.dtype`, and `quantization.quant_algo` where it is quantized. */
  types: readonly string[];
  /** One GPU each. */
  ranks: number;
}

/** @throws {LLMError} `ERR_ENGINE_CONFIG` for a field of config.json that is missing or wrong. */
export async function readEngineNeeds({ path, rankFiles }: EngineDirectory): Promise<EngineNeeds> {
  const file = join(path, 'config.json');
  const mend = 'Build the engine again: trtllm-build --checkpoint_dir CHECKPOINT --output_dir DIR';
  const config = parseJsonObject(await readFile(file, 'utf8'), { file, code: 'ERR_ENGINE_CONFIG', mend });
  const model = config.child('pretrained_config');
  const quantization = model.child('quantization');
  return {
    version: config.string('version'),
    types: [model.string('dtype'), ...(quantization.has('quant_algo') ? [quantization.string('quant_algo')] : [])],
    ranks: rankFiles.length,
  };
}

// The compute capability from which each is computed, by NVIDIA's support matrices; native/tensorrt_llm/engine_fit.cc holds a load to the same.
const NEEDED: readonly (readonly [pattern: RegExp, computeCapability: number])[] = [
  [/^(FP4|NVFP4|W4A8_MXFP4)/, 10.0],
  [/^(FP8|W4A8_AWQ)/, 8.9],
  [/^(bfloat16$|W8A8_SQ|W4A8_QSERVE)/, 8.0],
];

/** What hinders the engine from running on this TensorRT-LLM and these GPUs: one sentence each, with the mend; none if it fits. */
export function misfits(engine: EngineNeeds, version: string | undefined, gpus: readonly Gpu[]): string[] {
  const found: string[] = [];
  if (version !== undefined && version !== engine.version) {
    found.push(
      `It was built by TensorRT-LLM ${engine.version}, and ${version} is here: an engine runs only on the version that built it. Build it again with trtllm-build.`,
    );
  }
  if (engine.ranks > gpus.length) {
    found.push(
      `It needs ${engine.ranks === 1 ? 'a GPU' : `${engine.ranks} GPUs, one for each rank`}, and there are ${gpus.length}. Build it with a smaller tp_size, or run it where there are more.`,
    );
  }
  for (const type of engine.types) {
    const needed = NEEDED.find(([pattern]) => pattern.test(type))?.[1] ?? 0;
    const short = gpus.slice(0, engine.ranks).find(({ computeCapability }) => Number(computeCapability) < needed);
    if (short) {
      const from = architectureOf(String(needed))?.name;
      found.push(
        `It computes in ${type}, which needs compute capability ${needed.toFixed(1)} (${from}); GPU ${short.index}, ${short.name}, has ${short.computeCapability}. Build it from a checkpoint of another type, such as float16.`,
      );
    }
  }
  return found;
}
