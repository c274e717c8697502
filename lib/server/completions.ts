import * as v from 'valibot';
import type { Chunk, GenerateOptions, Generation, Input, LLM, Result, TokenLogprob } from '../index.js';
import { addUsages, answerHead, finishName, finite, usageOf } from './answer.js';
import { type Refused, readFields } from './body.js';
import { choiceEvent, eventStream, serverSentEvent } from './event-stream.js';
import type { Exchange } from './exchange.js';
import { badField, type FailureContext } from './http-error.js';
import { severalOf, textsOrTokens } from './inputs.js';
import { interleave } from './interleave.js';
import type { ServedModel } from './models.js';
import { samplingFields, samplingOptions } from './sampling-fields.js';

const completionSchema = v.strictObject({
  ...samplingFields,
  prompt: textsOrTokens,
  echo: v.optional(v.boolean()),
  logprobs: samplingFields.n,
  best_of: samplingFields.n,
  add_special_tokens: v.optional(v.boolean()),
});
type CompletionFields = v.InferOutput<typeof completionSchema>;

const REFUSED: Refused = {
  suffix: 'Put what comes before into prompt.',
  stop_token_ids: 'Use stop, which takes the names of special tokens too.',
  prompt_logprobs: 'Use echo and logprobs.',
};

const CONTEXT: FailureContext = { input: 'prompt', fields: { topLogprobs: 'logprobs', topPromptLogprobs: 'logprobs' } };

const DEFAULT_MAX_TOKENS = 16; // OpenAI's

/** A prompt, and its text where the answer repeats it. */
interface Prompt {
  readonly input: Input;
  readonly echo: string;
  /** Its tokens, where they are known. */
  readonly tokens?: ArrayLike<number>;
}

export async function completions(
  body: Readonly<Record<string, unknown>>,
  model: ServedModel,
  exchange: Exchange,
): Promise<Response> {
  const fields = readFields(body, completionSchema, REFUSED);
  const { llm } = model;
  const options = { ...completionOptions(fields), ...exchange.options };
  const prompts = await readPrompts(fields, llm, exchange.signal);
  const hasLogprobs = fields.logprobs !== undefined;
  if (fields.stream) {
    const generations = prompts.map(({ input }) => llm.stream(input, options));
    const events = completionEvents(generations, exchange, {
      head: answerHead('cmpl', 'text_completion', model),
      prompts,
      n: fields.n ?? 1,
      hasLogprobs,
      includeUsage: fields.stream_options?.include_usage ?? false,
    });
    return eventStream(events, exchange, CONTEXT);
  }
  const results = await llm.generate(
    prompts.map(({ input }) => input),
    options,
  );
  const usage = addUsages(results.map((result) => result.usage));
  exchange.usage = usage;
  const choices = results.flatMap((result, i) => choicesOf(result, prompts[i] as Prompt, { fields, llm, hasLogprobs }));
  return Response.json({
    ...answerHead('cmpl', 'text_completion', model),
    choices: choices.map((choice, index) => ({ index, ...choice })),
    usage: usageOf(usage),
  });
}

completions.context = CONTEXT;

function completionOptions(fields: CompletionFields): GenerateOptions {
  const { echo, logprobs, stream } = fields;
  const maxTokens = fields.max_tokens ?? DEFAULT_MAX_TOKENS;
  const hasLogprobs = logprobs !== undefined;
  if (echo && hasLogprobs && stream) {
    throw badField(
      'echo',
      'is not supported with logprobs and stream together. Leave out one of them.',
      'unsupported_parameter',
    );
  }
  return {
    ...samplingOptions(fields),
    maxTokens,
    bestOf: fields.best_of,
    addSpecialTokens: fields.add_special_tokens,
    ...(hasLogprobs && { logprobs: true, topLogprobs: logprobs }),
    ...(hasLogprobs && echo && { promptLogprobs: true, topPromptLogprobs: logprobs }),
    // lm-eval counts on exactly one new token, even if that is an end token, which outputs leave out.
    ...(hasLogprobs && echo && maxTokens === 1 && { ignoreEos: true }),
  };
}

async function readPrompts(fields: CompletionFields, llm: LLM, signal: AbortSignal): Promise<Prompt[]> {
  const { prompt, echo, logprobs } = fields;
  const read = async (each: unknown, i: number): Promise<Prompt> => {
    if (Array.isArray(each)) {
      const tokens: readonly number[] = each;
      if (tokens.length >= llm.info.maxSeqLen) return { input: { tokens }, echo: '', tokens }; // refused as too long
      return { input: { tokens }, echo: echo ? llm.tokenizer.decode(tokens, AS_WRITTEN) : '', tokens };
    }
    if (typeof each !== 'string') throw badField(`prompt[${i}]`, `is ${typeof each}; expected a text or token ids.`);
    if (!echo || logprobs === undefined) return { input: each, echo: echo ? each : '' };
    const bounds = { addSpecialTokens: fields.add_special_tokens ?? true, maxTokens: llm.info.maxInputLen, signal };
    const tokens = await llm.tokenizer.encode(each, bounds);
    return { input: { tokens }, echo: each, tokens };
  };
  return Promise.all(severalOf(prompt, 'prompt').map(read));
}

const AS_WRITTEN = { skipSpecialTokens: false };

interface ChoiceContext {
  readonly fields: CompletionFields;
  readonly llm: LLM;
  readonly hasLogprobs: boolean;
}

function choicesOf({ outputs, promptLogprobs = [] }: Result, prompt: Prompt, context: ChoiceContext): object[] {
  const { fields, llm, hasLogprobs } = context;
  return outputs.map((output) => {
    const list = new LogprobList();
    if (prompt.tokens && fields.echo && hasLogprobs) {
      list.addFirst(llm.tokenizer.tokenText(prompt.tokens[0] as number));
      for (const each of promptLogprobs) if (each) list.add(each);
    }
    for (const each of output.logprobs ?? []) list.add(each);
    const last = output.tokens.at(-1);
    const isEnd = !fields.ignore_eos && last !== undefined && llm.info.endIds.includes(last);
    return {
      text: prompt.echo + output.text,
      logprobs: hasLogprobs ? list.toJSON() : null,
      finish_reason: isEnd ? 'stop' : finishName(output.finishReason),
    };
  });
}

/** Logprobs in the form of completions: a list for each of their properties. */
class LogprobList {
  #tokens: string[] = [];
  #logprobs: (number | null)[] = [];
  #top: (Record<string, number> | null)[] = [];
  #offsets: number[] = [];
  #offset: number;

  constructor(offset = 0) {
    this.#offset = offset;
  }

  /** Length of the tokens' texts so far, in UTF-16 code units. */
  get offset(): number {
    return this.#offset;
  }

  /** The first token of a prompt follows nothing. */
  addFirst(text: string): void {
    this.#push(text, null, null);
  }

  add({ text, logprob, top = [] }: TokenLogprob): void {
    const byText: Record<string, number> = Object.create(null);
    // Two tokens may have one text, such as parts of characters: the likelier one counts, as it comes first.
    for (const each of [...top, { text, logprob }]) byText[each.text] ??= finite(each.logprob);
    this.#push(text, finite(logprob), byText);
  }

  #push(text: string, logprob: number | null, top: Record<string, number> | null): void {
    this.#tokens.push(text);
    this.#logprobs.push(logprob);
    this.#top.push(top);
    this.#offsets.push(this.#offset);
    this.#offset += text.length;
  }

  toJSON(): object {
    return {
      tokens: this.#tokens,
      token_logprobs: this.#logprobs,
      top_logprobs: this.#top,
      text_offset: this.#offsets,
    };
  }
}

interface CompletionStream {
  readonly head: object;
  readonly prompts: readonly Prompt[];
  readonly n: number;
  readonly hasLogprobs: boolean;
  readonly includeUsage: boolean;
}

async function* completionEvents(
  generations: readonly Generation[],
  exchange: Exchange,
  { head, prompts, n, hasLogprobs, includeUsage }: CompletionStream,
): AsyncGenerator<string, void, undefined> {
  const toEvent = choiceEvent(head, includeUsage);
  const offsets = new Map<number, number>();
  const eventOf = ({ index, text, logprobs = [], finishReason }: Chunk, prompt: string): string => {
    const isFirst = !offsets.has(index);
    const list = new LogprobList(offsets.get(index));
    for (const each of logprobs) list.add(each);
    offsets.set(index, list.offset);
    const choice = {
      index,
      text: isFirst ? prompt + text : text,
      logprobs: hasLogprobs ? list.toJSON() : null,
      finish_reason: finishReason ? finishName(finishReason) : null,
    };
    if (choice.text === '' && logprobs.length === 0 && !finishReason) return '';
    return toEvent(JSON.stringify(choice));
  };
  const chunks = generations.map(async function* (generation, i) {
    for await (const chunk of generation) yield { ...chunk, index: i * n + chunk.index, prompt: i };
  });
  try {
    for await (const chunk of interleave(chunks)) {
      const event = eventOf(chunk, prompts[chunk.prompt]?.echo ?? '');
      if (event !== '') yield event;
    }
  } catch (error) {
    for (const generation of generations) generation.abort();
    throw error;
  }
  const results = await Promise.all(generations.map(({ result }) => result));
  const usage = addUsages(results.map((result) => result.usage));
  exchange.usage = usage;
  if (includeUsage) yield serverSentEvent({ ...head, choices: [], usage: usageOf(usage) });
}
