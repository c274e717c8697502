import { basename } from 'node:path';
import type { CallbackManagerForLLMRun } from '@langchain/core/callbacks/manager';
import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from '@langchain/core/language_models/base';
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
  type BindToolsInput,
  type LangSmithParams,
} from '@langchain/core/language_models/chat_models';
import type { ModelProfile } from '@langchain/core/language_models/profile';
import type { AIMessageChunk, BaseMessage } from '@langchain/core/messages';
import type { ChatGenerationChunk, ChatResult } from '@langchain/core/outputs';
import type { Runnable } from '@langchain/core/runnables';
import type { LLM } from '../index.js';
import { canCallTools } from './chat-template.js';
import { type RequestOptions, readCall, requestOptions } from './langchain-options.js';
import { ChunkMaker, chatResult, lastChunk } from './langchain-result.js';
import { type OutputSchema, structuredOutput } from './langchain-structured.js';

export { NodeTensorRTLLMEmbeddings, type NodeTensorRTLLMEmbeddingsFields } from './langchain-embeddings.js';

/** The name of this provider in traces. */
const PROVIDER = 'node-tensorrt-llm';

/** What a model is made of: its LLM, defaults of its calls, and LangChain's own fields. */
export type ChatNodeTensorRTLLMFields = Omit<BaseChatModelParams, 'maxConcurrency' | 'maxRetries' | 'onFailedAttempt'> &
  RequestOptions & {
    /** It stays yours to close. */
    llm: LLM;
    /** Name of the model in results and traces. Default: the name of the engine directory. */
    model?: string;
  };

/** What a call may set. Default of each: the model's. */
export type ChatNodeTensorRTLLMCallOptions = BaseChatModelCallOptions & RequestOptions & { tools?: BindToolsInput[] };

/** A LangChain chat model over an LLM. */
export class ChatNodeTensorRTLLM extends BaseChatModel<ChatNodeTensorRTLLMCallOptions, AIMessageChunk> {
  readonly llm: LLM;
  readonly model: string;
  readonly #defaults: RequestOptions;

  constructor(fields: ChatNodeTensorRTLLMFields) {
    super(fields);
    this.llm = fields.llm;
    this.model = fields.model ?? basename(fields.llm.info.dir);
    this.#defaults = requestOptions(fields);
  }

  /** Internal: LangChain calls it. */
  static override lc_name(): string {
    return 'ChatNodeTensorRTLLM';
  }

  /** Internal: LangChain calls it. */
  override _llmType(): string {
    return PROVIDER;
  }

  /** Internal: by which LangChain tells the cached answers of models apart. */
  override _identifyingParams(): Record<string, unknown> {
    return { model: this.model, ...this.#defaults };
  }

  /** Internal: LangChain calls it, for traces. */
  override invocationParams(options?: this['ParsedCallOptions']): Record<string, unknown> {
    return { model: this.model, ...this.#optionsOf(options) };
  }

  /** Internal: LangChain calls it, for traces. */
  override getLsParams(options: this['ParsedCallOptions']): LangSmithParams {
    const { temperature, maxTokens, stop } = this.#optionsOf(options);
    return {
      ls_provider: PROVIDER,
      ls_model_name: this.model,
      ls_model_type: 'chat',
      ...(temperature !== undefined && { ls_temperature: temperature }),
      ...(maxTokens !== undefined && { ls_max_tokens: maxTokens }),
      ...(stop && { ls_stop: stop }),
    };
  }

  /** What the model can do. */
  override get profile(): ModelProfile {
    const { maxInputLen, maxSeqLen } = this.llm.info;
    const toolCalling = canCallTools(this.llm);
    return {
      maxInputTokens: maxInputLen,
      maxOutputTokens: maxSeqLen,
      toolCalling,
      toolChoice: toolCalling && this.llm.capabilities.guided,
      structuredOutput: false, // not together with tools, which agents that read this would send
    };
  }

  /** A model that offers these tools in each call. */
  override bindTools(
    tools: BindToolsInput[],
    options: Partial<ChatNodeTensorRTLLMCallOptions> = {},
  ): Runnable<BaseLanguageModelInput, AIMessageChunk, ChatNodeTensorRTLLMCallOptions> {
    return this.withConfig({ ...options, tools });
  }

  /** Internal: LangChain calls it. */
  override async _generate(messages: BaseMessage[], options: this['ParsedCallOptions']): Promise<ChatResult> {
    const request = this.#request(messages, options);
    return chatResult(await this.llm.generate(request.input, request.options), this.model);
  }

  /** Internal: LangChain calls it. */
  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    const request = this.#request(messages, options);
    const generation = this.llm.stream(request.input, request.options);
    const tell = (chunk: ChatGenerationChunk) =>
      runManager?.handleLLMNewToken(chunk.text, undefined, undefined, undefined, undefined, { chunk });
    const maker = new ChunkMaker();
    for await (const chunk of generation) {
      for (const made of maker.make(chunk)) {
        yield made;
        await tell(made);
      }
    }
    const last = lastChunk(await generation.result, this.model);
    yield last;
    await tell(last);
  }

  /**
   * A model whose answers are JSON that is parsed. Its `method` is `'jsonSchema'` (the output is held to the schema),
   * `'jsonMode'` (to any JSON) or `'functionCalling'` (a tool). Default: `'jsonSchema'` where the executor has guided decoding.
   */
  override withStructuredOutput<RunOutput extends Record<string, unknown> = Record<string, unknown>>(
    schema: OutputSchema<RunOutput>,
    config?: StructuredOutputMethodOptions<false>,
  ): Runnable<BaseLanguageModelInput, RunOutput>;
  override withStructuredOutput<RunOutput extends Record<string, unknown> = Record<string, unknown>>(
    schema: OutputSchema<RunOutput>,
    config?: StructuredOutputMethodOptions<true>,
  ): Runnable<BaseLanguageModelInput, { raw: BaseMessage; parsed: RunOutput }>;
  override withStructuredOutput<RunOutput extends Record<string, unknown> = Record<string, unknown>>(
    schema: OutputSchema<RunOutput>,
    config: StructuredOutputMethodOptions<boolean> = {},
  ) {
    return structuredOutput(schema, config, {
      isGuided: this.llm.capabilities.guided,
      withOptions: (options) => this.withConfig(options),
    });
  }

  #optionsOf(options: object = {}): RequestOptions {
    return { ...this.#defaults, ...requestOptions(options) };
  }

  #request(messages: BaseMessage[], call: this['ParsedCallOptions']) {
    return readCall(messages, this.#optionsOf(call), { call, llm: this.llm });
  }
}
