import type { AIMessage, BaseMessage, ChatMessage as GenericMessage, ToolMessage } from '@langchain/core/messages';
import { type ChatMessage, LLMError } from '../index.js';
import { templateCall } from './chat-template.js';

/**
 * LangChain's messages as messages for the chat template.
 * @throws {LLMError} `ERR_INVALID_INPUT` for a part that is not text.
 */
export const toMessages = (messages: readonly BaseMessage[]): ChatMessage[] => messages.map(toMessage);

function toMessage(message: BaseMessage, i: number): ChatMessage {
  switch (message.type) {
    case 'system':
      return { role: 'system', content: contentOf(message, i) };
    case 'human':
      return { role: 'user', content: contentOf(message, i) };
    case 'ai':
      return assistantMessage(message as AIMessage, i);
    case 'tool': {
      const { tool_call_id, name } = message as ToolMessage;
      return { role: 'tool', tool_call_id, ...(name !== undefined && { name }), content: contentOf(message, i) };
    }
    case 'generic':
      return { role: (message as GenericMessage).role, content: contentOf(message, i) };
    default:
      throw unsupported(i, `is of type ${message.type}`, 'a system, human, ai, tool or generic message');
  }
}

function contentOf(message: BaseMessage, i: number): ChatMessage['content'] {
  if (typeof message.content === 'string') return message.content;
  return message.contentBlocks.map((block) => {
    if (block.type !== 'text') throw unsupported(i, `has a part of type ${block.type}`, 'text');
    return { type: 'text', text: block.text };
  });
}

/** Its calls are in `tool_calls`, whatever of them is in the content. */
const CALLS: readonly string[] = ['tool_call', 'tool_call_chunk', 'invalid_tool_call'];

function assistantMessage(message: AIMessage, i: number): ChatMessage {
  let content = '';
  let reasoning = '';
  for (const block of message.contentBlocks) {
    if (block.type === 'text') content += block.text;
    else if (block.type === 'reasoning') reasoning += block.reasoning;
    else if (!CALLS.includes(block.type)) throw unsupported(i, `has a part of type ${block.type}`, 'text');
  }
  return {
    role: 'assistant',
    content,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(message.tool_calls?.length && { tool_calls: message.tool_calls.map(templateCall) }),
  };
}

const unsupported = (i: number, found: string, expected: string): LLMError =>
  new LLMError('ERR_INVALID_INPUT', `Message ${i} ${found}; expected ${expected}. Remove it.`);
