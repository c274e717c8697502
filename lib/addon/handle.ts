import { LLMError } from '../base/errors.js';

/** Names a loaded engine to other threads of the process; `postMessage` and `workerData` carry it. */
export interface LLMHandle {
  readonly processId: number;
  readonly sessionId: number;
  /** Internal: what was read of the engine directory. */
  readonly directory: object;
}

export const makeHandle = (sessionId: number, directory: object): LLMHandle => ({
  processId: process.pid,
  sessionId,
  directory,
});

/** @throws {LLMError} `ERR_INVALID_INPUT`. */
export function readHandle(handle: unknown): { sessionId: number; directory: object } {
  const { processId, sessionId, directory } = Object(handle) as Partial<LLMHandle>;
  if (
    typeof processId !== 'number' ||
    typeof sessionId !== 'number' ||
    typeof directory !== 'object' ||
    directory === null
  ) {
    throw new LLMError(
      'ERR_INVALID_INPUT',
      'This is no handle of an LLM; expected llm.handle, as postMessage gave it.',
    );
  }
  if (processId !== process.pid) {
    throw new LLMError(
      'ERR_INVALID_INPUT',
      `The handle is of process ${processId}, and this is ${process.pid}. Load the engine in this process: LLM.load().`,
    );
  }
  return { sessionId, directory };
}
