import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LLMError } from '../errors.js';
import { runProgram } from './programs.js';

// No version built this engine: the executor refuses it once it has compared the version of the TensorRT-LLM that was loaded
// with the one it was compiled for, and before it touches a GPU.
const ENGINE = {
  version: 'none',
  pretrained_config: {
    architecture: 'LlamaForCausalLM',
    dtype: 'float16',
    vocab_size: 32,
    mapping: { world_size: 1, tp_size: 1, pp_size: 1, cp_size: 1 },
  },
  build_config: {
    max_batch_size: 1,
    max_num_tokens: 16,
    max_seq_len: 16,
    max_beam_width: 1,
    plugin_config: { tokens_per_block: 16 },
  },
};

/**
 * Opens the library, and TensorRT-LLM with it, in a process of its own.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE` with what the loader says, that another version was loaded than the library was
 *   compiled for, or how the process ended.
 */
export async function tryLibrary(library: string, signal?: AbortSignal): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'node-tensorrt-llm-'));
  try {
    const engine = join(dir, 'engine');
    await mkdir(engine);
    await writeFile(join(engine, 'config.json'), JSON.stringify(ENGINE));
    await writeFile(join(engine, 'rank0.engine'), 'none');
    const program = fileURLToPath(new URL('./open-library.js', import.meta.url));
    const ran = await runProgram(process.execPath, [program, library, engine], { timeoutMs: 120_000, signal });
    const answer = ran && answerIn(ran.stdout);
    if (answer?.code === 'ERR_ENGINE_CONFIG' && answer.message.includes('version is none')) return;
    const ended = ran?.signal ? `was ended by ${ran.signal}` : `ended with status ${ran?.status}`;
    throw new LLMError(
      'ERR_EXECUTOR_UNAVAILABLE',
      answer?.message ?? `The process that opened ${library} ${ended}: ${ran?.output.trim().slice(-1000)}`,
    );
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The last line: libraries may print lines of their own. */
function answerIn(stdout: string): { code: string; message: string } | undefined {
  try {
    return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  } catch {
    return undefined;
  }
}
