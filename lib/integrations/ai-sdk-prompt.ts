import { type ChatMessage, LLMError } from '../index.js';
import type { PromptMessage, PromptPart, ToolOutput } from './ai-sdk-types.js';
import { templateCall } from './chat-template.js';

/**
 * A prompt of the AI SDK as messages for the chat template.
 * @throws {LLMError} `ERR_INVALID_INPUT` for a part that is not text.
 */
export const toMessages = (prompt: readonly PromptMessage[]): ChatMessage[] => prompt.flatMap(messagesOf);

function messagesOf(message: PromptMessage, i: number): ChatMessage[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'user':
      return [{ role: 'user', content: message.content.map((part) => ({ type: 'text', text: textOf(part, i) })) }];
    case 'assistant':
      return [assistantMessage(message.content, i)];
    case 'tool':
      return message.content.flatMap((part) => toolMessage(part, i));
  }
}

function assistantMessage(parts: readonly PromptPart[], i: number): ChatMessage {
  let content = '';
  let reasoning = '';
  const calls: object[] = [];
  for (const part of parts) {
    if (part.type === 'reasoning') reasoning += part.text;
    else if (part.type === 'tool-call') {
      calls.push(templateCall({ id: part.toolCallId, name: part.toolName, args: part.input }));
    } else content += textOf(part, i);
  }
  return {
    role: 'assistant',
    content,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function toolMessage(part: PromptPart, i: number): ChatMessage[] {
  if (part.type === 'tool-approval-response') return []; // the result that follows says what came of it
  if (part.type !== 'tool-result') throw unsupported(part, i);
  const { toolCallId, toolName, output } = part;
  return [{ role: 'tool', tool_call_id: toolCallId, name: toolName, content: outputText(output, i) }];
}

function outputText(output: ToolOutput, i: number): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value;
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value);
    case 'execution-denied':
      return output.reason ?? 'The user denied this call.';
    case 'content':
      return output.value.map((part) => textOf(part, i)).join('\n');
  }
}

function textOf(part: { type: string; text?: string | undefined }, i: number): string {
  if (part.type === 'text' && part.text !== undefined) return part.text;
  throw unsupported(part, i);
}

const unsupported = ({ type }: { type: string }, i: number): LLMError =>
  new LLMError('ERR_INVALID_INPUT', `The prompt's message ${i} has a part of type ${type}; expected text. Remove it.`);
