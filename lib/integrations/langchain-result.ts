import {
  AIMessage,
  AIMessageChunk,
  type AIMessageChunkFields,
  type AIMessageFields,
  type UsageMetadata,
} from '@langchain/core/messages';
import { ChatGenerationChunk, type ChatResult } from '@langchain/core/outputs';
import type { Chunk, Result, ToolCall } from '../index.js';

/** The usage of a message. Those of its chunks are summed, so only the last one has it. */
const usageOf = ({ usage }: Result): UsageMetadata => ({
  input_tokens: usage.promptTokens,
  output_tokens: usage.completionTokens,
  total_tokens: usage.totalTokens,
  input_token_details: { cache_read: usage.cachedTokens },
});

/** What LangChain has no field for. */
function metadataOf(result: Result, model: string): Record<string, unknown> {
  const { finishReason, toolCalls, stopReason, timing, outputs, promptLogprobs } = result;
  return {
    model_name: model,
    finish_reason: finishReason === 'stop' && toolCalls ? 'tool_calls' : finishReason,
    timing,
    ...(stopReason !== undefined && { stop_reason: stopReason }),
    ...(outputs[0]?.logprobs && { logprobs: outputs[0].logprobs }),
    ...(promptLogprobs && { prompt_logprobs: promptLogprobs }),
  };
}

/**
 * Makes LangChain's chunks of ours. Text is a string until there is reasoning, then a block as reasoning is. Each block and each call
 * has an index of its own: LangChain merges, and shows as one, what has the same; that of a string is 0.
 */
export class ChunkMaker {
  #block: { readonly type: 'text' | 'reasoning'; readonly index: number } | undefined;
  readonly #calls: number[] = []; // their indexes
  #next = 1;
  #hasReasoning = false;

  *make({ reasoning = '', text, toolCalls = [] }: Chunk): Generator<ChatGenerationChunk, void, undefined> {
    if (reasoning !== '') {
      this.#hasReasoning = true;
      yield chunkOf('', { content: [{ type: 'reasoning', reasoning, index: this.#indexOf('reasoning') }] });
    }
    if (text !== '') {
      const content = this.#hasReasoning ? [{ type: 'text', text, index: this.#indexOf('text') }] : text;
      yield chunkOf(text, { content });
    }
    if (toolCalls.length === 0) return;
    const tool_call_chunks = toolCalls.map(({ index, id, name, arguments: args }) => {
      this.#calls[index] ??= this.#next++;
      this.#block = undefined;
      return {
        type: 'tool_call_chunk' as const,
        index: this.#calls[index],
        args,
        ...(id && { id }),
        ...(name && { name }),
      };
    });
    yield chunkOf('', { content: '', tool_call_chunks });
  }

  #indexOf(type: 'text' | 'reasoning'): number {
    if (this.#block?.type !== type) this.#block = { type, index: this.#next++ };
    return this.#block.index;
  }
}

export const lastChunk = (result: Result, model: string): ChatGenerationChunk =>
  chunkOf('', { content: '', ...endOf(result, model) });

const endOf = (result: Result, model: string) => ({
  usage_metadata: usageOf(result),
  response_metadata: metadataOf(result, model),
});

// LangChain's type of the fields has no usage under exactOptionalPropertyTypes.
const chunkOf = (text: string, fields: object): ChatGenerationChunk =>
  new ChatGenerationChunk({ text, message: new AIMessageChunk(fields as AIMessageChunkFields) });

export function chatResult(result: Result, model: string): ChatResult {
  const { text, reasoning, toolCalls = [], usage } = result;
  const texts = text === '' ? [] : [{ type: 'text', text }];
  const calls = toolCalls.map(parsed);
  const fields = {
    content: reasoning === undefined ? text : [{ type: 'reasoning', reasoning }, ...texts],
    tool_calls: calls.filter(({ type }) => type === 'tool_call'),
    invalid_tool_calls: calls.filter(({ type }) => type === 'invalid_tool_call'),
    ...endOf(result, model),
  };
  const { promptTokens, completionTokens, totalTokens } = usage;
  return {
    generations: [{ text, message: new AIMessage(fields as AIMessageFields) }],
    llmOutput: { tokenUsage: { promptTokens, completionTokens, totalTokens } },
  };
}

function parsed({ id, name, arguments: args }: ToolCall) {
  const invalid = { type: 'invalid_tool_call', id, name, args, error: 'The arguments are not a JSON object.' } as const;
  try {
    const value: unknown = args === '' ? {} : JSON.parse(args);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? ({ type: 'tool_call', id, name, args: value } as const) : invalid;
  } catch {
    return invalid;
  }
}
