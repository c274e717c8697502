import { type Chunk, type Generation, LLMError, type ToolCall } from '../index.js';
import { finishReasonOf, metadataOf, toolCallPart, usageOf } from './ai-sdk-result.js';
import type { CallOptions, StreamPart, Warning } from './ai-sdk-types.js';

interface StreamContext {
  readonly warnings: Warning[];
  readonly modelId: string;
  readonly call: Pick<CallOptions, 'includeRawChunks' | 'abortSignal'>;
}

/** A generation as the AI SDK's stream parts. What fails before the first chunk throws; a later failure is a part. */
export async function* streamParts(
  generation: Generation,
  { warnings, modelId, call }: StreamContext,
): AsyncGenerator<StreamPart, void, undefined> {
  const chunks = generation[Symbol.asyncIterator]();
  let step = await chunks.next();
  yield { type: 'stream-start', warnings };
  yield { type: 'response-metadata', modelId };
  const blocks = new Blocks();
  try {
    for (; !step.done; step = await chunks.next()) {
      if (call.includeRawChunks) yield { type: 'raw', rawValue: step.value };
      yield* blocks.add(step.value);
    }
    const result = await generation.result;
    yield* blocks.close();
    yield {
      type: 'finish',
      finishReason: finishReasonOf(result),
      usage: usageOf(result.usage),
      providerMetadata: metadataOf(result),
    };
  } catch (error) {
    if (call.abortSignal?.aborted) throw error;
    yield { type: 'error', error };
    const { code, partial } = LLMError.is(error) ? error : {};
    const finishReason = { unified: 'error', raw: code } as const;
    yield { type: 'finish', finishReason, usage: usageOf(partial?.usage), providerMetadata: {} };
  }
}

interface TextBlock {
  readonly type: 'text' | 'reasoning';
  readonly id: string;
}

/** The blocks that the AI SDK's parts open, continue and close; none is empty. */
class Blocks {
  #text: TextBlock | undefined;
  #call: ToolCall | undefined; // open until the next one: text of a merged chunk may be from before its last part
  #count = 0;

  *add({ reasoning = '', text, toolCalls = [] }: Chunk): Generator<StreamPart, void, undefined> {
    yield* this.#addText('reasoning', reasoning);
    yield* this.#addText('text', text);
    for (const { id, name, arguments: delta } of toolCalls) {
      if (id !== undefined && name !== undefined) {
        yield* this.close();
        this.#call = { id, name, arguments: '' };
        yield { type: 'tool-input-start', id, toolName: name };
      }
      if (!this.#call || delta === '') continue;
      this.#call.arguments += delta;
      yield { type: 'tool-input-delta', id: this.#call.id, delta };
    }
  }

  *#addText(type: TextBlock['type'], delta: string): Generator<StreamPart, void, undefined> {
    if (delta === '') return;
    if (this.#text?.type !== type) {
      yield* this.#closeText();
      this.#text = { type, id: String(this.#count++) };
      yield { type: `${type}-start`, id: this.#text.id };
    }
    yield { type: `${type}-delta`, id: this.#text.id, delta };
  }

  *#closeText(): Generator<StreamPart, void, undefined> {
    if (this.#text) yield { type: `${this.#text.type}-end`, id: this.#text.id };
    this.#text = undefined;
  }

  /** Also a call that the end of the output cut: the AI SDK finds that its input is not JSON. */
  *close(): Generator<StreamPart, void, undefined> {
    yield* this.#closeText();
    if (this.#call) {
      yield { type: 'tool-input-end', id: this.#call.id };
      yield toolCallPart(this.#call);
    }
    this.#call = undefined;
  }
}
