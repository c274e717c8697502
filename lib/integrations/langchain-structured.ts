import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from '@langchain/core/language_models/base';
import {
  assembleStructuredOutputPipeline,
  createContentParser,
  createFunctionCallingParser,
} from '@langchain/core/language_models/structured_output';
import type { Runnable } from '@langchain/core/runnables';
import { toJsonSchema } from '@langchain/core/utils/json_schema';
import { isSerializableSchema, type SerializableSchema } from '@langchain/core/utils/standard_schema';
import { type InteropZodType, isInteropZodSchema } from '@langchain/core/utils/types';
import { LLMError } from '../index.js';

/** A schema of zod or another library, or JSON Schema. */
export type OutputSchema<RunOutput extends Record<string, unknown>> =
  | SerializableSchema<RunOutput>
  | InteropZodType<RunOutput>
  | Record<string, unknown>;

/** The model that answers, as far as its answers are made JSON. */
interface StructuredModel {
  readonly isGuided: boolean;
  withOptions(options: object): Runnable<BaseLanguageModelInput>;
}

const METHODS: readonly string[] = ['jsonSchema', 'jsonMode', 'functionCalling'];

/** @throws {LLMError} `ERR_INVALID_OPTION`. */
export function structuredOutput<RunOutput extends Record<string, unknown>>(
  schema: OutputSchema<RunOutput>,
  { name = 'extract', method, strict, includeRaw }: StructuredOutputMethodOptions<boolean>,
  model: StructuredModel,
) {
  const chosen = method ?? (model.isGuided ? 'jsonSchema' : 'functionCalling');
  if (!METHODS.includes(chosen))
    throw badOption('method', `is ${JSON.stringify(chosen)}; expected ${METHODS.join(', ')}`);
  const isTool = chosen === 'functionCalling';
  if (isTool && strict && !model.isGuided)
    throw badOption('strict', 'is true; expected false, because llm.capabilities.guided is');
  const isSchemaObject = isInteropZodSchema(schema) || isSerializableSchema(schema);
  const jsonSchema = (isSchemaObject ? toJsonSchema(schema) : schema) as { description?: string };
  const trace = { ls_structured_output_format: { kwargs: { method: chosen }, schema: jsonSchema } };
  const tool = { type: 'function', function: { name, description: jsonSchema.description, parameters: jsonSchema } };
  const options = isTool
    ? { tools: [tool], tool_choice: name }
    : { guided: chosen === 'jsonMode' ? { json: true } : { jsonSchema } };
  return assembleStructuredOutputPipeline<RunOutput>(
    model.withOptions({ ...options, ...trace }),
    isTool ? createFunctionCallingParser<RunOutput>(schema, name) : createContentParser<RunOutput>(schema),
    includeRaw,
    'StructuredOutput',
  );
}

const badOption = (option: string, rest: string): LLMError =>
  new LLMError('ERR_INVALID_OPTION', `${option} ${rest}. See docs/langchain.md.`, { option });
