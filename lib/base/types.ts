/** Why an output ended: at an end token, a stop string or `stopTokens`; at `maxTokens`; by abort(); at `timeoutMs`. */
export type FinishReason = 'stop' | 'length' | 'cancelled' | 'timeout';

/** One turn of a conversation, as the model's chat template takes it; other fields are passed to the template. */
export interface ChatMessage {
  role: string;
  /** A message that has other fields, such as an assistant's `tool_calls`, may have none. */
  content?: string | null | readonly unknown[] | undefined;
  readonly [field: string]: unknown;
}

/** A function the model may call, as the chat template takes it (usually in OpenAI's form). */
export interface Tool {
  type: string;
  readonly [field: string]: unknown;
}

/** A call of one of the request's `tools`, as the model wrote it. */
export interface ToolCall {
  /** The model's own, else a random one. */
  id: string;
  name: string;
  /** JSON text. It is not checked against the tool's parameters, and incomplete where `maxTokens` cut the output. */
  arguments: string;
}

/** The new part of a tool call. */
export interface ToolCallDelta {
  /** Counts the calls of the output, from 0. */
  index: number;
  /** Only in the first part of a call. */
  id?: string;
  /** Only in the first part of a call. */
  name?: string;
  /** The new part of the JSON text. */
  arguments: string;
}

/** Text is tokenized with the model's special tokens, `tokens` are used as is, `messages` go through the chat template. */
export type Input =
  | string
  | { tokens: ArrayLike<number> }
  | {
      messages: readonly ChatMessage[];
      tools?: readonly Tool[] | undefined;
      chatTemplate?: string | undefined;
      addGenerationPrompt?: boolean | undefined;
      templateVars?: Readonly<Record<string, unknown>> | undefined;
    };

/** Natural logarithm of a token's probability under the model, before penalties, biases, temperature, topK, topP and minP. */
export interface TokenLogprob {
  token: number;
  /** The token's own text; bytes of an incomplete character become U+FFFD. */
  text: string;
  logprob: number;
  /** The likeliest tokens at this position, likeliest first; with `topLogprobs`. */
  top?: { token: number; text: string; logprob: number }[];
}

/** The new part of one output since the last chunk was read; unread steps are merged into one chunk. */
export interface Chunk {
  /** Which of the request's outputs this continues. */
  index: number;
  /** The new text, without reasoning and tool calls. */
  text: string;
  /** The new part of the reasoning. */
  reasoning?: string;
  /** The new parts of tool calls. */
  toolCalls?: ToolCallDelta[];
  /** Ids of the new tokens. Text can lag behind them: a character or a stop string can span several tokens. */
  tokens: Int32Array;
  /** One for each of `tokens`, with the option `logprobs`. */
  logprobs?: TokenLogprob[];
  /** Only on the last chunk of an output. */
  finishReason?: FinishReason;
}

/** Counts in tokens. */
export interface Usage {
  promptTokens: number;
  /** Prompt tokens found in the KV cache. */
  cachedTokens: number;
  completionTokens: number;
  totalTokens: number;
}

/** Milliseconds since the executor received the request, so without encoding the prompt. */
export interface Timing {
  queueMs: number;
  /** `totalMs` if there was no token. */
  timeToFirstTokenMs: number;
  totalMs: number;
}

/** What the executor counted for a request; TensorRT-LLM calls it RequestPerfMetrics. */
export interface RequestMetrics {
  /** KV blocks that it took, those that it gave back included. */
  kvBlocksAllocated: number;
  /** KV blocks of its prompt that were found in the cache, whole or in part. */
  kvBlocksReused: number;
  /** KV blocks of its prompt that were not. */
  kvBlocksMissed: number;
  /** Draft tokens that were verified. */
  draftTokens: number;
  /** Draft tokens that were accepted, each of which saved a step. */
  draftTokensAccepted: number;
  /** Milliseconds from when the executor received the request; 0 if there was no token. */
  timeToLastTokenMs: number;
}

/** Logits in fp32, row-major `[rows, columns]`: a row per position, a column per token of the vocabulary. */
export interface Logits {
  data: Float32Array;
  rows: number;
  columns: number;
}

/** Type of a tensor's elements. */
export type DataType =
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'float8_e4m3'
  | 'int64'
  | 'int32'
  | 'int8'
  | 'uint8'
  | 'bool';

/** Arrays that hold a tensor's elements. */
export type TensorData = Float32Array | Uint16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;

/** A tensor in host memory, row-major. */
export interface Tensor {
  /** 16-bit floats as bits in a `Uint16Array`; 8-bit floats and booleans as bytes in a `Uint8Array`. */
  data: TensorData;
  /** One to four dimensions. */
  shape: readonly number[];
  /** Default: that of `data`: `'float32'`, `'float16'` for a `Uint16Array`, `'int64'`, `'int32'`, `'int8'` or `'uint8'`. */
  dataType?: DataType | undefined;
}

/** An engine tensor, by the name it was requested by. */
export interface NamedTensor extends Tensor {
  name: string;
  dataType: DataType;
}

export interface Output {
  index: number;
  /** The answer, without reasoning and tool calls. */
  text: string;
  /** What the model thought before it answered. */
  reasoning?: string;
  toolCalls?: ToolCall[];
  tokens: Int32Array;
  finishReason: FinishReason;
  /** The stop string that was found, or the id of the token that ended the output; absent if it ended otherwise. */
  stopReason?: string | number;
  /** One for each of `tokens`, with the option `logprobs`. */
  logprobs?: TokenLogprob[];
  /** Sum of the log-probabilities of `tokens`, with `logprobs`, or if `bestOf` chose by it. */
  cumulativeLogprob?: number;
  /** A row for each of `tokens`, with `returnGenerationLogits`. */
  generationLogits?: Logits;
  /**
   * As the executor returned them: a name may occur several times, once for each step that produced tokens. With beam search,
   * the first output has those of all beams. With the option `additionalOutputs`.
   */
  additionalOutputs?: NamedTensor[];
}

export interface Result {
  /** Text of `outputs[0]`. */
  text: string;
  /** That of `outputs[0]`. */
  reasoning?: string;
  /** Those of `outputs[0]`. */
  toolCalls?: ToolCall[];
  /** `n` outputs; with `bestOf`, the likeliest first. */
  outputs: Output[];
  /** That of `outputs[0]`. */
  finishReason: FinishReason;
  /** That of `outputs[0]`. */
  stopReason?: string | number;
  usage: Usage;
  timing: Timing;
  /** Absent if the request ended before the executor said so: by a stop string, `abort()` or `timeoutMs`. */
  metrics?: RequestMetrics;
  /** One for each prompt token, null for the first, which follows nothing; with the option `promptLogprobs`. */
  promptLogprobs?: (TokenLogprob | null)[];
  /** A row for each prompt token, with `returnContextLogits`. */
  contextLogits?: Logits;
}
