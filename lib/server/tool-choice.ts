import * as v from 'valibot';
import type { GenerateOptions, LLM, ResponseTemplate } from '../index.js';
import { badField } from './http-error.js';

const named = v.object({ type: v.literal('function'), function: v.object({ name: v.string() }) });

export const toolChoice = v.nullish(v.union([v.picklist(['auto', 'none', 'required']), named]));

/** A call in the form that the schemas below have, whatever the model's own is. */
const CALL_ALONE: ResponseTemplate = {
  start_anchor: '\0', // the prompt has nothing of the answer
  fields: {
    tool_calls: {
      open_pattern: '^\\s*(?=\\{)',
      content: 'json',
      transform: { function: { name: '{content.name}', arguments: '{content.arguments}' } },
    },
    content: {},
  },
};

type Given = Readonly<Record<string, unknown>>;

/**
 * Holds the answer to a call of any tool, or of the named one; nothing if the model may choose.
 * @throws {HttpError} 400 if there is no such tool, or the executor cannot hold an answer to a form.
 */
export function forcedCall(
  choice: v.InferOutput<typeof toolChoice>,
  tools: readonly Given[],
  llm: LLM,
): Pick<GenerateOptions, 'guided' | 'responseTemplate'> {
  if (!choice || choice === 'auto' || choice === 'none') return {};
  const found = JSON.stringify(choice === 'required' ? choice : choice.function.name);
  if (!llm.capabilities.guided) {
    const problem = `is ${found}, which the executor '${llm.info.executor}' cannot enforce; expected "auto" or "none".`;
    throw badField('tool_choice', problem, 'unsupported_parameter');
  }
  const functions = tools.map((tool) => (tool.function ?? tool) as Given);
  const allowed = choice === 'required' ? functions : functions.filter(({ name }) => name === choice.function.name);
  if (allowed.length === 0) throw badField('tool_choice', `is ${found}; expected a tool that is in tools.`);
  return { guided: { jsonSchema: schemaOf(allowed) }, responseTemplate: CALL_ALONE };
}

function schemaOf(functions: readonly Given[]): Given {
  const calls = functions.map(({ name, parameters }) => ({
    type: 'object',
    properties: { name: { const: name }, arguments: (parameters as Given | undefined) ?? { type: 'object' } },
    required: ['name', 'arguments'],
    additionalProperties: false,
  }));
  // A schema refers to its definitions from the root.
  const definitions = functions.map(({ parameters }) => (parameters as Given | undefined)?.$defs as Given | undefined);
  const shared = Object.assign({}, ...definitions) as Given;
  return { anyOf: calls, ...(Object.keys(shared).length > 0 && { $defs: shared }) };
}
