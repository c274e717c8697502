/** Why an output ended: at an end token, a stop string or `stopTokens`; at `maxTokens`; by abort(); at `timeoutMs`. */
export type FinishReason = 'stop' | 'length' | 'cancelled' | 'timeout';

/** One turn of a conversation, as the model's chat template takes it; further fields are handed to the template. */
export interface ChatMessage {
  role: string;
  content: string | null | readonly unknown[];
  readonly [field: string]: unknown;
}

/** A function the model may call, as the chat template takes it (OpenAI's shape in most templates). */
export interface Tool {
  type: string;
  readonly [field: string]: unknown;
}

/** Text is tokenized with the model's special tokens, `tokens` go in as they are, `messages` through the chat template. */
export type Input =
  | string
  | { tokens: ArrayLike<number> }
  | {
      messages: readonly ChatMessage[];
      tools?: readonly Tool[] | undefined;
      addGenerationPrompt?: boolean | undefined;
      templateVars?: Readonly<Record<string, unknown>> | undefined;
    };

/** Natural-log probability of one token under the model, before penalties, biases, temperature and every cut. */
export interface TokenLogprob {
  token: number;
  /** The token's own text; bytes that are no whole character read as U+FFFD. */
  text: string;
  logprob: number;
  /** The likeliest tokens of the position, likeliest first; there with `topLogprobs`. */
  top?: { token: number; text: string; logprob: number }[];
}

/** What came since the last chunk was read; steps nobody read in between are merged into one chunk. */
export interface Chunk {
  /** Which of the request's outputs this continues. */
  index: number;
  text: string;
  /** Ids of the new tokens. Text may lag behind them: a character or a stop string can span tokens. */
  tokens: Int32Array;
  logprobs?: TokenLogprob[];
  /** There on the last chunk of an output. */
  finishReason?: FinishReason;
}

/** Counts in tokens. */
export interface Usage {
  promptTokens: number;
  /** Prompt tokens whose keys and values were found in the cache. */
  cachedTokens: number;
  completionTokens: number;
  totalTokens: number;
}

/** Milliseconds, each from the moment the executor got the request, encoding not counted. */
export interface Timing {
  queueMs: number;
  /** `totalMs` where no token came. */
  timeToFirstTokenMs: number;
  totalMs: number;
}

/** Logits in fp32, row-major `[rows, columns]`: a row a position, a column a token of the vocabulary. */
export interface Logits {
  data: Float32Array;
  rows: number;
  columns: number;
}

/** What the elements of a tensor are. */
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
  /** 16-bit floats are the bits of a `Uint16Array`; 8-bit floats and booleans those of a `Uint8Array`. */
  data: TensorData;
  /** One to four dimensions. */
  shape: readonly number[];
  /** Default: what `data` is: `'float32'`, `'float16'` for a `Uint16Array`, `'int64'`, `'int32'`, `'int8'` or `'uint8'`. */
  dataType?: DataType | undefined;
}

/** A tensor of the engine, by the name it was asked for. */
export interface NamedTensor extends Tensor {
  name: string;
  dataType: DataType;
}

export interface Output {
  index: number;
  text: string;
  tokens: Int32Array;
  finishReason: FinishReason;
  /** The stop string that was found, or the id of the token that ended the output; absent for other ends. */
  stopReason?: string | number;
  logprobs?: TokenLogprob[];
  /** Sum of the log-probabilities of `tokens`; there with `logprobs`, and where `bestOf` chose by it. */
  cumulativeLogprob?: number;
  /** A row for each token of `tokens`; there with `returnGenerationLogits`. */
  generationLogits?: Logits;
  /**
   * In the order they came, as the executor gave them: one name may come several times, each time with what the tensor had
   * for the tokens of a step. With several beams those of all stand with the first. There with the option `additionalOutputs`.
   */
  additionalOutputs?: NamedTensor[];
}

export interface Result {
  /** Text of `outputs[0]`. */
  text: string;
  /** `n` of them; with `bestOf`, the likeliest first. */
  outputs: Output[];
  /** That of `outputs[0]`. */
  finishReason: FinishReason;
  /** That of `outputs[0]`. */
  stopReason?: string | number;
  usage: Usage;
  timing: Timing;
  /** One for each token of the prompt, null for the first, which nothing comes before; there with `promptLogprobs`. */
  promptLogprobs?: (TokenLogprob | null)[];
  /** A row for each token of the prompt; there with `returnContextLogits`. */
  contextLogits?: Logits;
}
