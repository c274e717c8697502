import { group, integer, MAX_COUNT, type Readers } from './checks.js';

/** What a chat template may use to make one prompt. It runs on the event loop, so nothing else runs there meanwhile. */
export interface ChatTemplateLimits {
  /**
   * Maximum number of operations; one on a long text or list counts more. Some 2,000 messages, or 400 tools, take 260,000.
   * Default: 260000.
   */
  steps?: number | undefined;
  /** Maximum length of the prompt, and of any text made on the way to it, in UTF-16 code units. Default: 16000000. */
  outputLength?: number | undefined;
  /** Maximum time, in ms; time in which the machine runs only other processes does not count. Default: 200. */
  timeMs?: number | undefined;
}

export const DEFAULT_CHAT_TEMPLATE_LIMITS = { steps: 260_000, outputLength: 16_000_000, timeMs: 200 } as const;

export const chatTemplateLimits = group({
  steps: integer(1, MAX_COUNT),
  outputLength: integer(1, MAX_COUNT),
  timeMs: integer(1, MAX_COUNT),
} satisfies Readers<ChatTemplateLimits>);
