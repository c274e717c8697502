import type { GenerateOptions, LLM } from '../index.js';

const templateReads = (llm: LLM, variable: RegExp): boolean =>
  [...llm.tokenizer.chatTemplates.values()].some((template) => variable.test(template));

/** Whether the chat template takes tools, and calls are found in what the model writes. */
export function canCallTools(llm: LLM, { responseTemplate = llm.responseTemplate }: GenerateOptions = {}): boolean {
  const calls = responseTemplate ? responseTemplate.fields.tool_calls : undefined;
  return calls !== undefined && templateReads(llm, /\btools\b/);
}

/** Whether `guided` holds all of an answer. Else it begins behind the reasoning, whose marks are known. */
export const holdsAll = (llm: LLM, { guided, responseTemplate = llm.responseTemplate }: GenerateOptions): boolean =>
  guided !== undefined && !(llm.info.guidedAfterReasoning && responseTemplate);

/** Whether the variable `enable_thinking` switches reasoning, as in the chat templates of Qwen3, SmolLM3 and others. */
export const hasThinkingSwitch = (llm: LLM): boolean => templateReads(llm, /\benable_thinking\b/);

/** A call of an earlier answer, as chat templates read it: with the object that the arguments are. */
export function templateCall({ id, name, args }: { id?: string | undefined; name: string; args: unknown }): object {
  return { ...(id !== undefined && { id }), type: 'function', function: { name, arguments: args } };
}
