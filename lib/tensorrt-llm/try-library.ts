import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, LLMError } from '../base/errors.js';
import { runProgram } from '../machine/programs.js';

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
    const { code, message } = await openOn(library, engine, signal);
    if (code === 'ERR_ENGINE_CONFIG' && message.includes('version is none')) return;
    throw new LLMError('ERR_EXECUTOR_UNAVAILABLE', message);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/**
 * Has the library hold an engine directory against its TensorRT-LLM and the GPUs that are here, in a process of its own, and
 * loads nothing.
 * @throws {LLMError} what LLM.load would reject with before it loads; `ERR_EXECUTOR_UNAVAILABLE` with how the process ended.
 */
export async function tryEngine(library: string, engineDir: string): Promise<void> {
  const { code, message } = await openOn(library, engineDir);
  if (code !== 'OK') throw new LLMError(code, message);
}

interface Answer {
  code: ErrorCode | 'OK';
  message: string;
}

async function openOn(library: string, engineDir: string, signal?: AbortSignal): Promise<Answer> {
  const program = fileURLToPath(new URL('./open-library.js', import.meta.url));
  const ran = await runProgram(process.execPath, [program, library, engineDir], { timeoutMs: 120_000, signal });
  const answer = ran && answerIn(ran.stdout);
  if (answer) return answer;
  const ended = ran?.signal ? `was ended by ${ran.signal}` : `ended with status ${ran?.status}`;
  throw new LLMError(
    'ERR_EXECUTOR_UNAVAILABLE',
    `The process that opened ${library} ${ended}: ${ran?.output.trim().slice(-1000)}`,
  );
}

/** The last line: libraries may print lines of their own. */
function answerIn(stdout: string): Answer | undefined {
  try {
    return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  } catch {
    return undefined;
  }
}
