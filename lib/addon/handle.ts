import { LLMError } from '../base/errors.js';

/** Identifies a loaded engine to other threads of the process; send it with `postMessage` or `workerData`. */
export interface LLMHandle {
  readonly processId: number;
  readonly sessionId: number;
  /** Internal: what was read of the engine directory. */
  readonly directory: object;
  /** Internal: EngineInfo's. */
  readonly executorReason: string | undefined;
  /** Internal: the option it was loaded with. */
  readonly maxQueueSize: number | undefined;
}

export const makeHandle = (
  sessionId: number,
  directory: object,
  loaded: Pick<LLMHandle, 'executorReason' | 'maxQueueSize'>,
): LLMHandle => ({ processId: process.pid, sessionId, directory, ...loaded });

/** @throws {LLMError} `ERR_INVALID_INPUT`. */
export function readHandle(handle: unknown): Omit<LLMHandle, 'processId'> {
  const { processId, sessionId, directory, executorReason, maxQueueSize } = Object(handle) as Partial<LLMHandle>;
  if (
    typeof processId !== 'number' ||
    typeof sessionId !== 'number' ||
    typeof directory !== 'object' ||
    directory === null
  ) {
    throw new LLMError(
      'ERR_INVALID_INPUT',
      'Not an LLM handle; expected the llm.handle received through postMessage or workerData.',
    );
  }
  if (processId !== process.pid) {
    throw new LLMError(
      'ERR_INVALID_INPUT',
      `The LLM handle is of process ${processId}; expected one of this process, ${process.pid}. Load the engine here with LLM.load().`,
    );
  }
  return { sessionId, directory, executorReason, maxQueueSize };
}
