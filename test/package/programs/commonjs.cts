// A user's program in CommonJS: type-checked against the installed package.
import { ERROR_CODES, type GenerateOptions, LLM, LLMError, type Result } from 'node-tensorrt-llm';
import { createMetrics } from 'node-tensorrt-llm/metrics';
import { createHandler, type Handler } from 'node-tensorrt-llm/server';

const options: GenerateOptions = { maxTokens: 12 };

export async function main(llm: LLM): Promise<Result> {
  const handler: Handler = createHandler(llm, { metrics: createMetrics(llm) });
  await handler(new Request('http://localhost/health'));
  try {
    return await llm.generate('Once upon a time', options);
  } catch (error) {
    if (LLMError.is(error)) console.error(ERROR_CODES[error.code].fix, error instanceof LLMError);
    throw error;
  }
}

void LLM.load('engine').then(main);
