// A user's program: type-checked against the installed package, bundled, and run on the engine whose directory is its argument.
import { type Chunk, type GenerateOptions, type Generation, LLM, LLMError, type Result } from 'node-tensorrt-llm';

const options: GenerateOptions = { maxTokens: 12, temperature: 0 };
const llm = await LLM.load(process.argv[2] ?? '');
try {
  const generation: Generation = llm.stream('Once upon a time', options);
  let streamed = '';
  for await (const chunk of generation) streamed += (chunk satisfies Chunk).text;
  const { text, finishReason }: Result = await generation.result;
  console.log(JSON.stringify({ streamed, text, finishReason }));
} catch (error) {
  if (LLMError.is(error)) console.error(error.code);
  throw error;
} finally {
  await llm.close();
}
