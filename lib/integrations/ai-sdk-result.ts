import type { Result, ToolCall, Usage } from '../index.js';
import { PROVIDER } from './ai-sdk-options.js';
import type { ByProvider, CallUsage, FinishReason, GenerateResult, JsonObject, ToolCallPart } from './ai-sdk-types.js';

/** Without empty parts: some agents stop at them. */
export function contentOf({ text, reasoning, toolCalls = [] }: Result): GenerateResult['content'] {
  const content: GenerateResult['content'] = [];
  if (reasoning) content.push({ type: 'reasoning', text: reasoning });
  if (text !== '') content.push({ type: 'text', text });
  return [...content, ...toolCalls.map(toolCallPart)];
}

export const toolCallPart = ({ id, name, arguments: input }: ToolCall): ToolCallPart => ({
  type: 'tool-call',
  toolCallId: id,
  toolName: name,
  input,
});

export function finishReasonOf({ finishReason: raw, toolCalls }: Result): FinishReason {
  if (raw === 'stop') return { unified: toolCalls ? 'tool-calls' : 'stop', raw };
  return { unified: raw === 'length' ? 'length' : 'other', raw };
}

/** @param usage undefined if the request failed before it had any. */
export const usageOf = (usage: Usage | undefined): CallUsage => ({
  inputTokens: {
    total: usage?.promptTokens,
    noCache: usage && usage.promptTokens - usage.cachedTokens,
    cacheRead: usage?.cachedTokens,
    cacheWrite: undefined,
  },
  outputTokens: { total: usage?.completionTokens, text: undefined, reasoning: undefined }, // only the sum is counted
});

/** What the AI SDK has no field for. */
export function metadataOf({ outputs, stopReason, timing, promptLogprobs }: Result): ByProvider {
  const logprobs = outputs[0]?.logprobs;
  const metadata = {
    timing,
    ...(stopReason !== undefined && { stopReason }),
    ...(logprobs && { logprobs }),
    ...(promptLogprobs && { promptLogprobs }),
  };
  return { [PROVIDER]: metadata as unknown as JsonObject }; // plain data, but interfaces have no index signature
}
