import type { LLM, ResponseTemplate, Tool } from '../index.js';

/** A tool in OpenAI's form, which chat templates read. */
export interface FunctionTool extends Tool {
  type: 'function';
  function: { name: string; description?: string | undefined; parameters?: unknown };
}

/** Whether the chat template takes tools, and calls are found in what the model writes. */
export function canCallTools(llm: LLM): boolean {
  const takesTools = [...llm.tokenizer.chatTemplates.values()].some((template) => /\btools\b/.test(template));
  const { responseTemplate } = llm as LLM & { readonly responseTemplate?: ResponseTemplate };
  return takesTools && responseTemplate?.fields.tool_calls !== undefined;
}

/** A call of an earlier answer, as chat templates read it: with the object that the arguments are. */
export function templateCall({ id, name, args }: { id: string | undefined; name: string; args: unknown }): object {
  return { ...(id !== undefined && { id }), type: 'function', function: { name, arguments: args } };
}
