import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { temporaryDirectory, tinyEngine } from './engines.js';
import { PROJECT_ROOT } from './project.js';

const FULL_VERSIONS = { '0.13': '0.13.0', '1.2': '1.2.1' };

/**
 * Runs with TensorRT-LLM's executor over the stand-in of a version, which answers with letters, as the scripted executor does,
 * or runs the tiny engine's checkpoint. A process takes one version: libraries of the same name are loaded once.
 */
export async function withStandIn(
  version: keyof typeof FULL_VERSIONS,
  run: (llm: LLM) => Promise<void>,
  options: LoadOptions = {},
  answers: 'letters' | 'checkpoint' = 'letters',
): Promise<void> {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  if (answers === 'letters') await rm(join(dir, 'rank0.safetensors'));
  await writeFile(join(dir, 'rank0.engine'), 'the stand-in answers with letters');
  const config = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
  config.version = FULL_VERSIONS[version];
  Object.assign(config.build_config, {
    max_beam_width: 4,
    gather_context_logits: true,
    gather_generation_logits: true,
    plugin_config: { ...config.build_config.plugin_config, lora_plugin: 'float16' },
    lora_config: { lora_target_modules: ['attn_q'] },
  });
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  // Where `npm run test:native` puts it.
  const library = join(PROJECT_ROOT, `build/tests/tensorrt-llm-${version}/libexecutor_tensorrt_llm.so`);
  const llm = await LLM.load(dir, { ...options, executor: { library } });
  try {
    await run(llm);
  } finally {
    await llm.close();
  }
}
