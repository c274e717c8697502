import type { FinishReason, Logits, NamedTensor } from '../base/types.js';
import { DATA_TYPES, type NativeTensor } from '../options/tensor.js';

/** Who receives the events of one request. Called on the event loop, in the order of the executor; must not throw. */
export interface RequestSink {
  onStart(promptTokens: number, cachedTokens: number, queueMs: number): void;
  onText(part: TextPart): void;
  onContextLogits(logits: Logits): void;
  onAdditionalOutputs(index: number, tensors: NamedTensor[]): void;
  /** One for each token of the prompt; the first one's logprob is NaN. */
  onPromptLogprobs(logprobs: RawLogprob[]): void;
  /** The last call for a request is this one or onError. */
  onEnd(): void;
  onError(executorCode: number, message: string, option: string | undefined): void;
}

/** What one step brought for one output. The object and its arrays are reused: valid during the call only. */
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

export type OnEvents = (
  numbers: Float64Array,
  numberCount: number,
  text: string,
  tokens: Int32Array,
  logprobs: Float64Array | undefined,
  logits: Logits[] | undefined,
  tensors: (NativeTensor & { name: string })[] | undefined,
) => void;

// EventKind and StopKind of native/addon/events.h, which has the layout of the arrays.
const TEXT = 0;
const START = 1;
const END = 2;
const ERROR = 3;
const CONTEXT_LOGITS = 4;
const PROMPT_LOGPROBS = 5;
const ADDITIONAL_OUTPUTS = 6;
const STOP_STRING = 1;
const STOP_TOKEN = 2;

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
  const part: TextPart = {
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
  };
  return (numbers, numberCount, text, tokens, logprobs, logits, tensors) => {
    let at = 0;
    let textAt = 0;
    let tokensAt = 0;
    let logprobsAt = 0;
    let logitsAt = 0;
    let tensorsAt = 0;
    const next = (): number => numbers[at++] as number;
    const nextText = (length: number): string => {
      if (length === 0) return '';
      textAt += length;
      return text.slice(textAt - length, textAt);
    };
    const nextLogprob = (): number => (logprobs as Float64Array)[logprobsAt++] as number;
    const readLogprobs = (count: number): RawLogprob[] =>
      Array.from({ length: count }, () => ({
        logprob: nextLogprob(),
        top: Array.from({ length: nextLogprob() }, () => ({ token: nextLogprob(), logprob: nextLogprob() })),
      }));
    const nextLogits = (): Logits => (logits as Logits[])[logitsAt++] as Logits;
    const nextTensor = (): NamedTensor => {
      const { name, data, shape, dataType } = (tensors as NonNullable<typeof tensors>)[tensorsAt++] as NativeTensor & {
        name: string;
      };
      return { name, data, shape, dataType: DATA_TYPES[dataType]?.[0] ?? 'uint8' };
    };
    while (at < numberCount) {
      const kind = next();
      const sink = sinks.get(next());
      if (kind === TEXT) {
        part.index = next() | 0;
        part.text = nextText(next());
        const tokenCount = next();
        part.tokens = tokens;
        part.tokensBegin = tokensAt;
        tokensAt += tokenCount;
        part.tokensEnd = tokensAt;
        part.finishReason = FINISH_REASONS[next()];
        const stopKind = next();
        const stopValue = next();
        part.stopString = stopKind === STOP_STRING ? stopValue : undefined;
        part.stopToken = stopKind === STOP_TOKEN ? stopValue : undefined;
        part.logprobs = next() === 1 ? readLogprobs(tokenCount) : undefined;
        part.logits = next() === 1 ? nextLogits() : undefined;
        sink?.onText(part);
      } else if (kind === START) {
        const [promptTokens, cachedTokens, queueMs] = [next(), next(), next()];
        sink?.onStart(promptTokens, cachedTokens, queueMs);
      } else if (kind === CONTEXT_LOGITS) {
        const contextLogits = nextLogits();
        sink?.onContextLogits(contextLogits);
      } else if (kind === PROMPT_LOGPROBS) {
        const promptLogprobs = readLogprobs(next());
        sink?.onPromptLogprobs(promptLogprobs);
      } else if (kind === ADDITIONAL_OUTPUTS) {
        const [index, count] = [next(), next()];
        const outputs = Array.from({ length: count }, nextTensor);
        sink?.onAdditionalOutputs(index, outputs);
      } else if (kind === END) {
        sink?.onEnd();
      } else if (kind === ERROR) {
        const code = next();
        const [messageLength, optionLength] = [next(), next()];
        const message = nextText(messageLength);
        const option = nextText(optionLength);
        sink?.onError(code, message, option === '' ? undefined : option);
      }
    }
  };
}
