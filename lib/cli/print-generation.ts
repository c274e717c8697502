import type { Generation, Result } from '../index.js';
import { printJson } from './command.js';

/**
 * Prints a generation as it comes: its text, and its reasoning on standard error, or with `json` an object for each chunk and one
 * for the result.
 */
export async function printGeneration(generation: Generation, { json }: { json: boolean }): Promise<Result> {
  let isReasoning = false;
  for await (const { text, reasoning, tokens } of generation) {
    if (json) {
      printJson({ type: 'chunk', text, reasoning, tokens: [...tokens] });
      continue;
    }
    if (reasoning !== undefined) process.stderr.write(reasoning);
    if (isReasoning && text !== '') process.stderr.write('\n\n');
    isReasoning = text === '' && (isReasoning || reasoning !== undefined);
    process.stdout.write(text);
  }
  const result = await generation.result;
  if (json) {
    const { text, reasoning, finishReason, stopReason, usage, timing } = result;
    printJson({ type: 'result', text, reasoning, finishReason, stopReason, usage, timing });
  }
  return result;
}
