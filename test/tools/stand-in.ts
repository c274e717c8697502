import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { temporaryDirectory, tinyEngine } from './engines.js';
import { PROJECT_ROOT } from './project.js';

/** The versions of the stand-in for TensorRT-LLM, in full. */
export const STAND_IN_VERSIONS = { '0.13': '0.13.0', '1.2': '1.2.1' } as const;
export type StandInVersion = keyof typeof STAND_IN_VERSIONS;

/** Our executor over the stand-in of a version, with MPI or without, where `npm run test:native` puts it. */
export const standInLibrary = (version: StandInVersion | '1.2-mpi'): string =>
  join(PROJECT_ROOT, `build/tests/tensorrt-llm-${version}/libexecutor_tensorrt_llm.so`);

export interface StandInEngine {
  /** In full; default: that of the stand-in 1.2. */
  version?: string;
  /** Default: those of the tiny engine's checkpoint; letters are lettersOf. */
  answers?: 'checkpoint' | 'letters';
  ranks?: number;
  /** Of each rank's file. */
  rankBytes?: number;
  /** Fields of build_config, and of its plugin_config. */
  build?: object;
  plugins?: object;
}

/** A TensorRT engine as the stand-in takes it, with the tiny model's tokenizer. */
export async function standInEngine({
  version = STAND_IN_VERSIONS['1.2'],
  answers = 'checkpoint',
  ranks = 1,
  rankBytes = 100,
  build = {},
  plugins = {},
}: StandInEngine = {}): Promise<string> {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  if (answers === 'letters') await rm(join(dir, 'rank0.safetensors'));
  const config = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
  config.version = version;
  Object.assign(config.pretrained_config.mapping, { world_size: ranks, tp_size: ranks });
  Object.assign(config.build_config, build);
  Object.assign(config.build_config.plugin_config, plugins);
  await writeFile(join(dir, 'config.json'), JSON.stringify(config));
  for (let rank = 0; rank < ranks; rank++) await writeFile(join(dir, `rank${rank}.engine`), Buffer.alloc(rankBytes));
  return dir;
}

/** Has the engine keep logits, which TensorRT-LLM's executor makes log-probabilities of. */
export const GATHERS_LOGITS = { gather_context_logits: true, gather_generation_logits: true };

/**
 * Runs with TensorRT-LLM's executor over the stand-in of a version, which answers with letters, as the scripted executor does,
 * or runs the tiny engine's checkpoint. A process takes one version: libraries of the same name are loaded once.
 */
export async function withStandIn(
  version: StandInVersion,
  run: (llm: LLM) => Promise<void>,
  options: LoadOptions = {},
  answers: 'letters' | 'checkpoint' = 'letters',
): Promise<void> {
  const dir = await standInEngine({
    version: STAND_IN_VERSIONS[version],
    answers,
    build: { ...GATHERS_LOGITS, max_beam_width: 4, lora_config: { lora_target_modules: ['attn_q'] } },
    plugins: { lora_plugin: 'float16' },
  });
  const llm = await LLM.load(dir, { ...options, executor: { library: standInLibrary(version) } });
  try {
    await run(llm);
  } finally {
    await llm.close();
  }
}
