import * as v from 'valibot';
import { forceToolCall, type GenerateOptions, type LLM, type Tool } from '../index.js';
import { badField } from './http-error.js';

const named = v.object({ type: v.literal('function'), function: v.object({ name: v.string() }) });

export const toolChoice = v.optional(v.union([v.picklist(['auto', 'none', 'required']), named]));

/**
 * Holds the answer to a call of any tool, or of the named one; nothing if the model may choose.
 * @throws {HttpError} 400 if there is no such tool, or the executor cannot hold an answer to a form.
 */
export function forcedCall(
  choice: v.InferOutput<typeof toolChoice>,
  tools: readonly Tool[],
  llm: LLM,
): Pick<GenerateOptions, 'guided' | 'responseTemplate'> {
  if (!choice || choice === 'auto' || choice === 'none') return {};
  const found = JSON.stringify(choice === 'required' ? choice : choice.function.name);
  if (!llm.capabilities.guided) {
    const problem = `is ${found}, which the executor '${llm.info.executor}' cannot enforce; expected "auto" or "none".`;
    throw badField('tool_choice', problem, 'unsupported_parameter');
  }
  const allowed = choice === 'required' ? tools : tools.filter((tool) => nameOf(tool) === choice.function.name);
  if (allowed.length === 0) throw badField('tool_choice', `is ${found}; expected a tool that is in tools.`);
  return forceToolCall(allowed, llm);
}

const nameOf = (tool: Tool): unknown => ((tool.function ?? tool) as { name?: unknown }).name;
