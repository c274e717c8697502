import { LLMError } from '../base/errors.js';

/** Identifies a loaded engine to other threads of the process; send it with `postMessage` or `workerData`. */
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
      'Not an LLM handle; expected the llm.handle received through postMessage or workerData.',
    );
  }
  if (processId !== process.pid) {
    throw new LLMError(
      'ERR_INVALID_INPUT',
      `The LLM handle is of process ${processId}; expected one of this process, ${process.pid}. Load the engine here with LLM.load().`,
    );
  }
  return { sessionId, directory };
}
