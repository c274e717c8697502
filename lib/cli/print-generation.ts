import type { Generation, Result } from '../index.js';
import { printJson } from './command.js';

/** Prints a generation as it comes: its text, or with `json` an object for each chunk and one for the result. */
export async function printGeneration(generation: Generation, { json }: { json: boolean }): Promise<Result> {
  for await (const chunk of generation) {
    if (json) printJson({ type: 'chunk', text: chunk.text, tokens: [...chunk.tokens] });
    else process.stdout.write(chunk.text);
  }
  const result = await generation.result;
  if (json) {
    const { text, finishReason, stopReason, usage, timing } = result;
    printJson({ type: 'result', text, finishReason, stopReason, usage, timing });
  }
  return result;
}
