import { bind, hostProgram, loadAddon } from './addon/addon.js';
import { fromNative } from './addon/executor-error.js';
import { guidedConfig } from './addon/guided-config.js';
import type { Addon, LoadedSession, NativeLoadOptions } from './addon/protocol.js';
import { whenAborted } from './base/abort.js';
import { LLMError } from './base/errors.js';
import { pathOf } from './base/paths.js';
import { Stopping } from './base/stopping.js';
import { checkDraftModel } from './draft-model.js';
import { type EngineDirectory, type EngineNeeds, openEngine } from './engine/directory/directory.js';
import { chooseExecutor, libraryOf, WEIGHTS } from './executors.js';
import { checkGpuMemory } from './gpu-memory.js';
import { DUMMY, type LoadOptions, readLoadOptions } from './options/load.js';
import { Tokenizer, type TokenizerOptions } from './text/tokenizer.js';

/** What an LLM that attaches to the engine from another thread gets to know of it. */
export type LoadedDirectory = EngineDirectory & Pick<TokenizerOptions, 'chatTemplateLimits'>;

/** An engine whose executor is loaded. */
export interface LoadedEngine {
  readonly directory: LoadedDirectory;
  readonly executorReason: string | undefined;
  readonly maxQueueSize: number | undefined;
  readonly tokenizer: Tokenizer | undefined;
  readonly loaded: LoadedSession;
  /** Loads the same executor with the same options once more, in place of the session that `shareId` is of. */
  readonly reload: (shareId: number, stopping: Stopping) => Promise<LoadedSession>;
}

// For the executor to end cancelled requests, which takes a step or two.
export const SHUTDOWN_DEADLINE_MS = 10_000;

// For an executor to end a load that was given up; one that reads from a file system that hangs never does.
const GIVE_UP_MS = 1000;

/** The weights are read on a separate thread, the tokenizer on libuv's thread pool. It throws what LLM.load throws. */
export async function loadEngine(dir: string | URL, options: LoadOptions): Promise<LoadedEngine> {
  const {
    signal,
    loadTimeoutMs,
    onProgress,
    logger,
    executor = 'auto',
    isolation = 'none',
    isolationEnv,
    guidedDecoding,
    chatTemplateLimits,
    ...config
  } = readLoadOptions(options);
  signal?.throwIfAborted();
  const path = pathOf('dir', dir);
  const withinLimit = async <T>(stopping: Stopping, load: () => Promise<T>): Promise<T> => {
    const stop = (): void => stopping.stop(loadTimeout(path, loadTimeoutMs as number, isolation));
    const timer = loadTimeoutMs === undefined ? undefined : setTimeout(stop, loadTimeoutMs);
    try {
      return await load();
    } finally {
      clearTimeout(timer);
    }
  };
  const stopping = new Stopping();
  const ignoreSignal = signal && whenAborted(signal, () => stopping.stop(signal.reason));
  try {
    return await withinLimit(stopping, async () => {
      const addon = loadAddon();
      const named = libraryOf(executor);
      const needs: EngineNeeds = {
        weights: typeof executor === 'string' ? WEIGHTS[executor] : undefined,
        files: config.loadFormat === DUMMY ? 'not-needed' : 'needed',
      };
      const opened = await stopping.orStopped(openEngine(path, needs));
      const directory: LoadedDirectory = { ...opened, chatTemplateLimits };
      const namesGpu = config.parallel?.deviceIds !== undefined;
      const choice =
        executor === 'auto'
          ? await stopping.orStopped(
              chooseExecutor(directory.weights, { namesGpu, lacksOnCuda: directory.lacksOnCuda, signal }),
            )
          : undefined;
      const library = choice ? libraryOf(choice.executor) : named;
      if (choice) {
        const { executor: chosen, reason, isDowngrade } = choice;
        logger?.[isDowngrade ? 'warn' : 'info'](`executor: 'auto' takes '${chosen}': ${reason}`);
      }
      const taken = choice?.executor ?? executor;
      const { tokenizerPath } = directory;
      const [tokenizer] = await stopping.orStopped(
        Promise.all([
          tokenizerPath === undefined ? undefined : Tokenizer.load(addon, { ...directory, tokenizerPath }),
          checkGpuMemory(taken, directory, config, { machine: choice?.machine, signal }),
          (taken === 'cpu' || taken === 'cuda') &&
            config.decoding &&
            checkDraftModel(config.decoding, directory, needs),
        ]),
      );
      if (tokenizer?.responseFault) {
        const found = `response_template of tokenizer_config.json: ${tokenizer.responseFault.message}`;
        logger?.warn(`${found}. It is ignored; correct it, or pass responseTemplate.`);
      }
      const open = async (opening: Stopping, report?: (done: number) => void, shareId?: number) => {
        const guided = await opening.orStopped(
          guidedConfig(guidedDecoding, directory, taken === 'cpu' || taken === 'cuda'),
        );
        opening.throwIfStopped();
        const native = {
          ...config,
          library,
          hostProgram: isolation === 'process' ? hostProgram() : undefined,
          hostVariables: isolationEnv,
          engineDir: directory.path,
          tokenizer: tokenizer?.native,
          guidedDecoding: guided,
          shareId,
        };
        return loadSession(addon, native, opening, { onProgress: report, logger });
      };
      return {
        directory,
        executorReason: choice?.reason,
        maxQueueSize: config.maxQueueSize,
        tokenizer,
        loaded: await open(stopping, onProgress),
        reload: (shareId, reloading) => withinLimit(reloading, () => open(reloading, undefined, shareId)),
      };
    });
  } finally {
    ignoreSignal?.();
  }
}

/** Rejects with what `stopping` is stopped with. */
function loadSession(
  addon: Addon,
  options: NativeLoadOptions,
  stopping: Stopping,
  { onProgress, logger }: Pick<LoadOptions, 'onProgress' | 'logger'>,
): Promise<LoadedSession> {
  const pending = addon.load(
    options,
    (done) => {
      if (stopping.isStopped) return;
      try {
        onProgress?.(done);
      } catch (thrown) {
        stopping.stop(thrown);
      }
    },
    logger && ((level, message) => logger[LOG_METHODS[level] ?? 'debug'](message)),
  );
  stopping.whenStopped(() => pending.abort());
  const loading = pending.promise.then(
    async (loaded) => {
      if (stopping.isStopped) await bind(addon, loaded, () => {}).close(SHUTDOWN_DEADLINE_MS);
      stopping.throwIfStopped();
      return loaded;
    },
    (thrown: unknown) => {
      stopping.throwIfStopped();
      throw fromNative(thrown);
    },
  );
  return stopping.orStopped(loading, GIVE_UP_MS, () => pending.leave());
}

const loadTimeout = (dir: string, timeoutMs: number, isolation: 'none' | 'process'): LLMError =>
  new LLMError(
    'ERR_LOAD_TIMEOUT',
    `${dir} was not loaded within ${timeoutMs} ms (loadTimeoutMs). Raise loadTimeoutMs. With several GPUs, NCCL_DEBUG=INFO shows what it is waiting for, and NCCL_P2P_DISABLE=1 helps if the GPUs cannot reach each other.` +
      (isolation === 'none' ? " Work that hangs stays in this process; isolation: 'process' ends it." : ''),
  );

/** By the numbers of ExecutorLogLevel in native/executor/config.h. */
const LOG_METHODS = ['error', 'warn', 'info', 'debug'] as const;
