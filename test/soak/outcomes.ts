import { ERROR_CODES, type ErrorCode, type FinishReason } from 'node-tensorrt-llm';

/** How a request ended: 'aborted' by its signal, 'dropped' unread, 'terminated' with its worker. */
export type Outcome = FinishReason | 'aborted' | 'dropped' | 'terminated' | ErrorCode;

/** Their numbers in a round's state are 2 on. */
export const OUTCOMES: readonly Outcome[] = [
  'stop',
  'length',
  'cancelled',
  'timeout',
  'aborted',
  'dropped',
  'terminated',
  ...(Object.keys(ERROR_CODES) as ErrorCode[]),
];
