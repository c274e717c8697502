// Samples eight outputs for one prompt and prints the three most likely: node examples/ranked-outputs.mjs ENGINE [PROMPT]
import { LLM } from 'node-tensorrt-llm';

const [dir, prompt = 'Once upon a time'] = process.argv.slice(2);
const llm = await LLM.load(dir);
try {
  const { outputs, usage } = await llm.generate(prompt, { n: 3, bestOf: 8, temperature: 0.8, maxTokens: 32, seed: 1 });
  for (const { index, text, cumulativeLogprob, finishReason } of outputs) {
    console.log(JSON.stringify({ index, cumulativeLogprob, finishReason, text }));
  }
  console.error(
    `${usage.completionTokens} tokens of all eight; the prompt's ${usage.promptTokens} were computed once.`,
  );
} finally {
  await llm.close();
}
