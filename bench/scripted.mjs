// Streams from the executor without a model (test/scripted-executor), which `npm run build:bench` builds.
import { fileURLToPath } from 'node:url';
import { LLM } from 'node-tensorrt-llm';

/** Of build/bench, what was built there. */
export const built = (name) => fileURLToPath(new URL(`../build/bench/Release/${name}`, import.meta.url));

export const loadScripted = (engineDir) =>
  LLM.load(engineDir, { executor: { library: built('libexecutor_scripted.so') } });

/** Starts `count` requests of `maxTokens` tokens; stream i has the prompt [i]. */
export const startStreams = (llm, count, maxTokens) =>
  Array.from({ length: count }, (_, i) => llm.stream({ tokens: [i] }, { maxTokens }));

/** Reads streams of `maxTokens` one-letter tokens each to their end, together. Answers in how many chunks they came. */
export async function readStreams(streams, maxTokens) {
  let chunks = 0;
  const read = async (stream) => {
    let letters = 0;
    for await (const { text } of stream) {
      chunks++;
      letters += text.length;
    }
    if (letters !== maxTokens) throw new Error(`a stream has ${letters} letters, not ${maxTokens}`);
  };
  await Promise.all(streams.map(read));
  return chunks;
}
