import { arrivals } from '../base/turns.js';
import type { FinishReason, Logits, NamedTensor, RequestMetrics } from '../base/types.js';
import { DATA_TYPES, type NativeTensor } from '../options/tensor.js';

/** Who receives the events of one request. Called on the event loop, in the order of the executor; must not throw. */
export interface RequestSink {
  onStart(promptTokens: number, cachedTokens: number, queueMs: number): void;
  /** One token of the first output and its text, `stepText.slice(begin, end)`, and nothing else: what most steps bring. */
  onToken(token: number, stepText: string, begin: number, end: number): void;
  onText(part: TextPart): void;
  onContextLogits(logits: Logits): void;
  onEmbedding(embedding: Float32Array): void;
  onAdditionalOutputs(index: number, tensors: NamedTensor[]): void;
  /** One for each token of the prompt, some at a time, from the one of the number `first` on; that of 0 is NaN. */
  onPromptLogprobs(first: number, logprobs: RawLogprob[]): void;
  onMetrics(metrics: RequestMetrics): void;
  /** The last call for a request is this one or onError. */
  onEnd(): void;
  onError(executorCode: number, message: string, option: string | undefined): void;
}

/**
 * What one step brought for one output, if it is more than one plain token. The object and its arrays are reused: valid
 * during the call only.
 */
export interface TextPart {
  index: number;
  text: string;
  /** The output's new tokens are those from `tokensBegin` to before `tokensEnd`. */
  tokens: Int32Array;
  tokensBegin: number;
  tokensEnd: number;
  finishReason: FinishReason | undefined;
  /** Index of the stop string that ended the output. */
  stopString: number | undefined;
  /** The end token that ended the output. */
  stopToken: number | undefined;
  /** One for each token, where they were asked for. */
  logprobs: RawLogprob[] | undefined;
  logits: Logits | undefined;
}

export interface RawLogprob {
  logprob: number;
  top: { token: number; logprob: number }[];
}

type NativeTensors = (NativeTensor & { name: string })[];

export type OnEvents = (
  numbers: Float64Array,
  numberCount: number,
  text: string,
  tokens: Int32Array,
  tokenCount: number,
  logprobs: Float64Array | undefined,
  logits: Logits[] | undefined,
  tensors: NativeTensors | undefined,
) => void;

// EventKind and StopKind of native/addon/events.h, which has the layout of the arrays.
const TEXT = 0;
const START = 1;
const END = 2;
const ERROR = 3;
const CONTEXT_LOGITS = 4;
const PROMPT_LOGPROBS = 5;
const ADDITIONAL_OUTPUTS = 6;
const TOKENS = 7;
const EMBEDDING = 8;
const METRICS = 9;
const STOP_STRING = 1;
const STOP_TOKEN = 2;

/** So that looking at the clock costs little beside them. */
const EVENTS_A_STEP = 16;
const TOKENS_A_STEP = 1024;
const PROMPT_TOKENS_A_STEP = 64;

/** By the numbers of ExecutorFinish in native/executor/response.h. */
const FINISH_REASONS: readonly (FinishReason | undefined)[] = [
  undefined,
  'stop',
  'stop',
  'length',
  'timeout',
  'cancelled',
];

/**
 * Makes the function that the addon calls once for all that has come, and hands each request its part. A request that is
 * not in `sinks` has ended for its reader; what still comes for it is dropped.
 */
export function makeEventDecoder(sinks: ReadonlyMap<number, RequestSink>): OnEvents {
  const reused: Reused = {
    found: [],
    part: {
      index: 0,
      text: '',
      tokens: new Int32Array(0),
      tokensBegin: 0,
      tokensEnd: 0,
      finishReason: undefined,
      stopString: undefined,
      stopToken: undefined,
      logprobs: undefined,
      logits: undefined,
    },
  };
  return (numbers, numberCount, text, tokens, tokenCount, logprobs, logits, tensors) => {
    const cursor = new EventCursor(sinks, reused, numbers, numberCount, text, tokens, logprobs, logits, tensors);
    const isDone = arrivals.do(() => cursor.next());
    if (!isDone) cursor.keep(tokenCount);
  };
}

/** What one call leaves for the next to write over. */
interface Reused {
  /** The sinks of a run; undefined in between. */
  readonly found: (RequestSink | undefined)[];
  readonly part: TextPart;
}

/** Reads the arrays of one call. */
class EventCursor {
  /** Of the next event, in `numbers`. */
  at = 0;
  readonly #sinks: ReadonlyMap<number, RequestSink>;
  readonly #reused: Reused;
  #numbers: Float64Array;
  #end: number;
  /** Tokens of the run that `at` stands in. */
  #runLeft = 0;
  #prompt: { readonly id: number; first: number; readonly count: number } | undefined;
  readonly #text: string;
  #textAt = 0;
  #tokens: Int32Array;
  #tokensAt = 0;
  readonly #logprobs: Float64Array | undefined;
  #logprobsAt = 0;
  readonly #logits: Logits[] | undefined;
  #logitsAt = 0;
  readonly #tensors: NativeTensors | undefined;
  #tensorsAt = 0;

  constructor(
    sinks: ReadonlyMap<number, RequestSink>,
    reused: Reused,
    numbers: Float64Array,
    end: number,
    text: string,
    tokens: Int32Array,
    logprobs: Float64Array | undefined,
    logits: Logits[] | undefined,
    tensors: NativeTensors | undefined,
  ) {
    this.#sinks = sinks;
    this.#reused = reused;
    this.#numbers = numbers;
    this.#end = end;
    this.#text = text;
    this.#tokens = tokens;
    this.#logprobs = logprobs;
    this.#logits = logits;
    this.#tensors = tensors;
  }

  /** Hands out a run of tokens, or a few events; returns whether there are more. */
  next(): boolean {
    for (let i = 0; i < EVENTS_A_STEP && !this.#isInside() && this.at < this.#end; i++) {
      const kind = this.#number();
      if (kind === TOKENS) this.#runLeft = this.#number();
      else if (kind === PROMPT_LOGPROBS) this.#prompt = { id: this.#number(), first: 0, count: this.#number() };
      else this.#event(kind, this.#sinks.get(this.#number()));
    }
    if (this.#prompt) {
      this.#promptPart(this.#prompt);
    } else if (this.#runLeft > 0) {
      const count = Math.min(this.#runLeft, TOKENS_A_STEP);
      this.#tokenRun(count);
      this.#runLeft -= count;
    }
    return this.#isInside() || this.at < this.#end;
  }

  /** An event that takes several steps has begun. */
  #isInside(): boolean {
    return this.#runLeft > 0 || this.#prompt !== undefined;
  }

  #promptPart(prompt: { id: number; first: number; count: number }): void {
    const logprobs = this.#nextLogprobs(Math.min(prompt.count - prompt.first, PROMPT_TOKENS_A_STEP));
    this.#sinks.get(prompt.id)?.onPromptLogprobs(prompt.first, logprobs);
    prompt.first += logprobs.length;
    if (prompt.first === prompt.count) this.#prompt = undefined;
  }

  /** Copies what the addon writes over in its next call. */
  keep(tokenCount: number): void {
    this.#numbers = this.#numbers.slice(this.at, this.#end);
    this.#end -= this.at;
    this.at = 0;
    this.#tokens = this.#tokens.slice(this.#tokensAt, tokenCount);
    this.#tokensAt = 0;
  }

  /** What a sink needs went cold since the last step. Looked up for all of a run before its use, it comes together. */
  #tokenRun(count: number): void {
    const numbers = this.#numbers;
    const text = this.#text;
    const tokens = this.#tokens;
    const { found } = this.#reused;
    for (let i = 0; i < count; i++) found[i] = this.#sinks.get(numbers[this.at + 2 * i] as number);
    for (let i = 0; i < count; i++) {
      const begin = this.#textAt;
      this.#textAt += numbers[this.at + 2 * i + 1] as number;
      const sink = found[i];
      found[i] = undefined;
      sink?.onToken(tokens[this.#tokensAt + i] as number, text, begin, this.#textAt);
    }
    this.at += 2 * count;
    this.#tokensAt += count;
  }

  #event(kind: number, sink: RequestSink | undefined): void {
    if (kind === TEXT) {
      const part = this.#nextPart();
      sink?.onText(part);
    } else if (kind === START) {
      const [promptTokens, cachedTokens, queueMs] = [this.#number(), this.#number(), this.#number()];
      sink?.onStart(promptTokens, cachedTokens, queueMs);
    } else if (kind === CONTEXT_LOGITS) {
      const contextLogits = this.#nextLogits();
      sink?.onContextLogits(contextLogits);
    } else if (kind === EMBEDDING) {
      const { data } = this.#nextLogits();
      sink?.onEmbedding(data);
    } else if (kind === ADDITIONAL_OUTPUTS) {
      const [index, count] = [this.#number(), this.#number()];
      const outputs = Array.from({ length: count }, () => this.#nextTensor());
      sink?.onAdditionalOutputs(index, outputs);
    } else if (kind === METRICS) {
      const metrics = {
        kvBlocksAllocated: this.#number(),
        kvBlocksReused: this.#number(),
        kvBlocksMissed: this.#number(),
        draftTokens: this.#number(),
        draftTokensAccepted: this.#number(),
        timeToLastTokenMs: this.#number(),
      };
      sink?.onMetrics(metrics);
    } else if (kind === END) {
      sink?.onEnd();
    } else if (kind === ERROR) {
      const code = this.#number();
      const [messageLength, optionLength] = [this.#number(), this.#number()];
      const message = this.#nextText(messageLength);
      const option = this.#nextText(optionLength);
      sink?.onError(code, message, option === '' ? undefined : option);
    }
  }

  #nextPart(): TextPart {
    const { part } = this.#reused;
    part.index = this.#number();
    part.text = this.#nextText(this.#number());
    const tokenCount = this.#number();
    part.tokens = this.#tokens;
    part.tokensBegin = this.#tokensAt;
    this.#tokensAt += tokenCount;
    part.tokensEnd = this.#tokensAt;
    part.finishReason = FINISH_REASONS[this.#number()];
    const stopKind = this.#number();
    const stopValue = this.#number();
    part.stopString = stopKind === STOP_STRING ? stopValue : undefined;
    part.stopToken = stopKind === STOP_TOKEN ? stopValue : undefined;
    part.logprobs = this.#number() === 1 ? this.#nextLogprobs(tokenCount) : undefined;
    part.logits = this.#number() === 1 ? this.#nextLogits() : undefined;
    return part;
  }

  #number(): number {
    return this.#numbers[this.at++] as number;
  }

  #nextText(length: number): string {
    this.#textAt += length;
    return this.#text.slice(this.#textAt - length, this.#textAt);
  }

  #nextLogprobs(count: number): RawLogprob[] {
    const next = (): number => (this.#logprobs as Float64Array)[this.#logprobsAt++] as number;
    return Array.from({ length: count }, () => ({
      logprob: next(),
      top: Array.from({ length: next() }, () => ({ token: next(), logprob: next() })),
    }));
  }

  #nextLogits(): Logits {
    return (this.#logits as Logits[])[this.#logitsAt++] as Logits;
  }

  #nextTensor(): NamedTensor {
    const { name, data, shape, dataType } = (this.#tensors as NativeTensors)[
      this.#tensorsAt++
    ] as NativeTensors[number];
    return { name, data, shape, dataType: DATA_TYPES[dataType]?.[0] ?? 'uint8' };
  }
}
