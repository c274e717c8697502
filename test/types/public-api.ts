// Compiled, never run: what a user's program may say in types, and, by @ts-expect-error, what it may not.
import {
  type Capabilities,
  type Chunk,
  type ErrorCode,
  type FinishReason,
  type GenerateOptions,
  type Generation,
  type Input,
  LLM,
  LLMError,
  type Logits,
  type Output,
  type Result,
  type Stats,
  type TokenLogprob,
} from 'node-tensorrt-llm';

/** Compiles only where `Actual` is `Expected`, neither wider nor narrower. */
type Exactly<Expected, Actual> =
  (<T>() => T extends Expected ? 1 : 2) extends <T>() => T extends Actual ? 1 : 2 ? Actual : never;
const is = <Expected>() => ({ exactly: <Actual>(_: Exactly<Expected, Actual>): void => {} });

declare const llm: LLM;
declare const input: Input;
declare const maybe: { number?: number; text?: string; flag?: boolean; signal?: AbortSignal };

export async function generateTakesOneInputOrSeveral(): Promise<void> {
  is<Result>().exactly(await llm.generate('text'));
  is<Result>().exactly(await llm.generate({ tokens: [1, 2] }, { maxTokens: 1 }));
  is<Result>().exactly(await llm.generate(input));
  is<Result[]>().exactly(await llm.generate(['text', { tokens: [1] }]));
  const inputs = ['a', 'b'] as const;
  is<Result[]>().exactly(await llm.generate(inputs, { maxTokens: 1 }));
  // @ts-expect-error: several inputs are for generate() only
  llm.stream(['a', 'b']);
  // @ts-expect-error: an array of ids is no input by itself
  llm.generate([1, 2, 3]);
  // @ts-expect-error
  llm.generate();
}

export function inputsMayBeReadonly(): void {
  const messages = [{ role: 'user', content: 'hello', name: 'Ann' }] as const;
  const tools = [{ type: 'function', function: { name: 'now', parameters: {} } }] as const;
  llm.stream({ messages, tools, templateVars: { enable_thinking: false } as const });
  llm.stream({ messages, tools: undefined, templateVars: undefined });
  llm.stream({ messages: Object.freeze([{ role: 'user', content: [{ type: 'text', text: 'hello' }] }]) });
  llm.stream({ tokens: [1, 2] as const });
  llm.stream({ tokens: new Int32Array(2) });
  llm.stream({ tokens: new Uint16Array(2) });
  llm.stream('text', Object.freeze({ stop: ['a', 'b'], stopTokens: [1, [2, 3]], logitBias: { 5: -1 } }));
  llm.stream('text', { stop: ['a'] as const, stopTokens: [1, [2, 3]] as const, badTokens: [[4]] as const } as const);
  llm.stream({ messages: [{ role: 'assistant', tool_calls: [] }] });
  // @ts-expect-error: a message has a role
  llm.stream({ messages: [{ content: 'hello' }] });
  // @ts-expect-error: token ids are numbers
  llm.stream({ tokens: ['1'] });
}

export function optionsHaveTheirTypes(): void {
  // @ts-expect-error
  llm.stream('text', { maxTokens: '5' });
  // @ts-expect-error: a misspelled name
  llm.stream('text', { max_tokens: 5 });
  // @ts-expect-error
  llm.stream('text', { stop: [/end/] });
  // @ts-expect-error
  llm.stream('text', { stopTokens: [[[1]]] });
  // @ts-expect-error
  llm.stream('text', { logitBias: [[5, -1]] });
  // @ts-expect-error: logprobs says whether, topLogprobs how many
  llm.stream('text', { logprobs: 5 });
  // @ts-expect-error: at run time null counts as left out; in TypeScript say undefined
  llm.stream('text', { seed: null });
  // @ts-expect-error: a controller is no signal
  llm.stream('text', { signal: new AbortController() });
  llm.stream('text', {
    guided: { jsonSchema: { type: 'object' } },
    earlyStopping: 'never',
    beamWidths: [1, 2] as const,
  });
  // @ts-expect-error: a schema is an object or its text
  llm.stream('text', { guided: { jsonSchema: true } });
  // @ts-expect-error: a range has a priority
  llm.stream('text', { kvRetention: { ranges: [{ start: 0 }] } });
  // @ts-expect-error: bits of half floats lie in a Uint16Array
  llm.stream('text', { lora: { id: 1, weights: { data: [1, 2], shape: [2] } } });
  LLM.load('dir', { scheduler: { capacityPolicy: 'static-batch' }, parallel: { deviceIds: new Uint8Array(2) } });
  // @ts-expect-error: no policy has that name
  LLM.load('dir', { scheduler: { capacityPolicy: 'fair' } });
  // @ts-expect-error
  llm.close({ drainMs: '1s' });
  // @ts-expect-error: no executor has that name
  LLM.load('dir', { executor: 'gpu' });
  // @ts-expect-error: console.log alone is no logger
  LLM.load('dir', { logger: console.log });
  // @ts-expect-error
  llm.tokenizer.encode('text', { skipSpecialTokens: true });
}

export function anyOptionMayBeUndefined(): void {
  llm.stream('text', { maxTokens: maybe.number, stop: maybe.text, ignoreEos: maybe.flag, signal: maybe.signal });
  const all: { [Name in keyof Required<GenerateOptions>]: undefined } = {} as never;
  llm.stream('text', all);
  LLM.load('dir', { executor: undefined, threads: maybe.number, signal: maybe.signal, logger: undefined });
  llm.close({ drainMs: maybe.number });
  llm.tokenizer.encode('text', { addSpecialTokens: maybe.flag });
  new LLMError('ERR_CLOSED', 'message', { requestId: maybe.number, partial: undefined });
}

export async function loadTakesPathsUrlsAndExecutors(): Promise<void> {
  is<LLM>().exactly(await LLM.load('dir', { executor: 'cpu', logger: console }));
  await LLM.load(new URL('file:///dir'), { executor: { library: 'path.so' }, onProgress: (done) => done.toFixed(2) });
  is<LLM>().exactly(LLM.attach(llm.handle));
  is<LLM>().exactly(LLM.attach(structuredClone(llm.handle)));
  // @ts-expect-error: a handle, not an LLM, goes to another thread
  LLM.attach(llm);
  // @ts-expect-error: load() and attach() make one
  new LLM();
}

export async function resultsAreWhatTheySay(): Promise<void> {
  const { text, outputs, finishReason, stopReason, usage, timing, promptLogprobs, contextLogits } =
    await llm.generate('text');
  is<string>().exactly(text);
  is<Output[]>().exactly(outputs);
  is<'stop' | 'length' | 'cancelled' | 'timeout'>().exactly(finishReason);
  is<string | number | undefined>().exactly(stopReason);
  is<number>().exactly(usage.cachedTokens);
  is<number>().exactly(timing.timeToFirstTokenMs);
  is<(TokenLogprob | null)[] | undefined>().exactly(promptLogprobs);
  is<Logits | undefined>().exactly(contextLogits);
  // @ts-expect-error: under noUncheckedIndexedAccess the first output may be missing, though there is one always
  outputs[0].text;
  is<Int32Array | undefined>().exactly(outputs[0]?.tokens);
  is<boolean>().exactly(llm.capabilities.logprobs);
  is<number>().exactly(llm.stats().discardedTokens);
  is<readonly number[]>().exactly(llm.info.endIds);
  // @ts-expect-error: facts are not settings
  llm.capabilities.logprobs = true;
  // @ts-expect-error
  llm.handle = structuredClone(llm.handle);
}

export async function aGenerationIsReadAndIsNoPromise(): Promise<void> {
  const generation = llm.stream('text');
  is<Generation>().exactly(await Promise.resolve(generation)); // an async function can return one
  is<Result>().exactly(await generation.result);
  for await (const chunk of generation) {
    is<Chunk>().exactly(chunk);
    is<FinishReason | undefined>().exactly(chunk.finishReason);
  }
  for await (const text of llm.stream('text').textStream) is<string>().exactly(text);
  is<ReadableStream<Chunk>>().exactly(generation.toReadableStream());
  is<number>().exactly(generation.id);
  generation.abort();
  generation.abort(new Error('enough'));
  // @ts-expect-error: await its result instead
  generation.then(() => {});
  // @ts-expect-error: it is asynchronous
  for (const _ of generation) break;
}

export async function llmsAndGenerationsAreDisposable(): Promise<void> {
  await using loaded = await LLM.load('dir');
  await using generation = loaded.stream('text');
  // @ts-expect-error: disposal is asynchronous
  using _wrong = loaded;
  await generation.result;
}

export function errorsAreKnownByTheirCode(error: unknown): string {
  if (!LLMError.is(error)) return '';
  is<LLMError>().exactly(error);
  is<ErrorCode>().exactly(error.code);
  is<Result | undefined>().exactly(error.partial);
  // @ts-expect-error: there is no such code
  if (error.code === 'ERR_NO_SUCH_CODE') return '';
  return error.partial?.text ?? '';
}

export const statsAndCapabilitiesCanBeDeclared: [keyof Stats, keyof Capabilities] = ['steps', 'severalSequences'];
