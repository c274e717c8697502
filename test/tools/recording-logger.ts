import type { Logger } from 'node-tensorrt-llm';

/** A logger, and what it was given: `'warn: ...'`. */
export function recordingLogger(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const method = (name: string) => (message: string) => void lines.push(`${name}: ${message}`);
  return {
    logger: { error: method('error'), warn: method('warn'), info: method('info'), debug: method('debug') },
    lines,
  };
}
