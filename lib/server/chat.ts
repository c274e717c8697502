import * as v from 'valibot';
import type { ChatMessage, GenerateOptions, Generation, LLM, TokenLogprob, Tool } from '../index.js';
import { answerHead, type FinishName, finishName, finite, usageOf } from './answer.js';
import { list, type Refused, readFields } from './body.js';
import { choiceEvent, eventStream, serverSentEvent } from './event-stream.js';
import type { Exchange } from './exchange.js';
import { badField, type FailureContext } from './http-error.js';
import type { ServedModel } from './models.js';
import { guidedBy, ignoredFields, responseFormat, samplingFields, samplingOptions } from './sampling-fields.js';

const textPart = v.object({ type: v.literal('text'), text: v.string() });

/** How a conversation becomes a prompt, in chat/completions and tokenize. */
export const promptFields = {
  messages: list(v.looseObject({ role: v.string(), content: v.nullish(v.union([v.string(), list(textPart)])) })),
  tools: v.nullish(list(v.looseObject({ type: v.string() }))),
  add_generation_prompt: v.nullish(v.boolean()),
  chat_template_kwargs: v.nullish(v.record(v.string(), v.unknown())),
};
const promptSchema = v.object(promptFields);
export type PromptFields = v.InferOutput<typeof promptSchema>;

const chatSchema = v.strictObject({
  ...samplingFields,
  ...ignoredFields,
  ...promptFields,
  tool_choice: v.nullish(v.picklist(['auto', 'none'])), // calls in answers are not parsed yet, so none can be promised
  parallel_tool_calls: v.nullish(v.literal(true)),
  max_completion_tokens: samplingFields.max_tokens,
  logprobs: v.nullish(v.boolean()),
  top_logprobs: samplingFields.n,
  response_format: responseFormat,
  modalities: v.nullish(v.tuple([v.literal('text')])),
});
type ChatFields = v.InferOutput<typeof chatSchema>;

const USE_TOOLS = 'Use tools.';
export const USE_TEMPLATE = "If the model's chat template has such a variable, use chat_template_kwargs.";
const REFUSED: Refused = {
  audio: 'Only text is.',
  functions: USE_TOOLS,
  function_call: USE_TOOLS,
  reasoning_effort: USE_TEMPLATE,
  verbosity: USE_TEMPLATE,
  documents: USE_TEMPLATE,
  web_search_options: 'Put what was found into messages.',
  chat_template: "The model's own is used.",
  continue_final_message: 'Use /v1/completions to continue a text.',
  stop_token_ids: 'Use stop, which takes the names of special tokens too.',
  prompt_logprobs: 'Use /v1/completions with echo and logprobs.',
};

const CONTEXT: FailureContext = {
  input: 'messages',
  fields: { guided: 'response_format', tools: 'tools', templateVars: 'chat_template_kwargs' },
};

export async function chatCompletions(
  body: Readonly<Record<string, unknown>>,
  model: ServedModel,
  exchange: Exchange,
): Promise<Response> {
  const fields = readFields(body, chatSchema, REFUSED);
  const { llm } = model;
  const options = { ...chatOptions(fields, llm), ...exchange.options };
  const generation = llm.stream(chatInput(fields, llm), options);
  const hasLogprobs = options.logprobs === true;
  if (fields.stream) {
    const events = chatEvents(generation, exchange, {
      head: answerHead('chatcmpl', 'chat.completion.chunk', model),
      hasLogprobs,
      includeUsage: fields.stream_options?.include_usage ?? false,
    });
    return eventStream(events, exchange, CONTEXT);
  }
  const { outputs, usage } = await generation.result;
  exchange.usage = usage;
  return Response.json({
    ...answerHead('chatcmpl', 'chat.completion', model),
    choices: outputs.map(({ index, text, finishReason, logprobs }) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: hasLogprobs ? logprobsOf(logprobs) : null,
      finish_reason: finishName(finishReason),
    })),
    usage: usageOf(usage),
  });
}

chatCompletions.context = CONTEXT;

function chatOptions(fields: ChatFields, llm: LLM): GenerateOptions {
  const { logprobs, top_logprobs: topLogprobs, max_completion_tokens: maxTokens } = fields;
  if (topLogprobs && !logprobs) throw badField('top_logprobs', `is ${topLogprobs}; expected logprobs: true with it.`);
  const options = samplingOptions(fields);
  return {
    ...options,
    maxTokens: maxTokens ?? options.maxTokens,
    logprobs: logprobs ?? undefined,
    topLogprobs: topLogprobs ?? undefined,
    guided: guidedBy(fields.response_format, llm),
  };
}

/** @throws {HttpError} 400 for tools that the model's chat template would drop. */
export function chatInput(fields: PromptFields & { tool_choice?: string | null | undefined }, llm: LLM) {
  const tools = fields.tools?.length && fields.tool_choice !== 'none' ? (fields.tools as Tool[]) : undefined;
  if (tools && ![...llm.tokenizer.chatTemplates.values()].some((template) => /\btools\b/.test(template))) {
    throw badField('tools', "is not supported: the model's chat template takes none.", 'unsupported_parameter');
  }
  return {
    messages: fields.messages.map(chatMessage),
    tools,
    addGenerationPrompt: fields.add_generation_prompt ?? undefined,
    templateVars: fields.chat_template_kwargs ?? undefined,
  };
}

/** A message as chat templates take it: with their name of the role, and arguments as the object that the JSON text holds. */
function chatMessage(message: PromptFields['messages'][number]): ChatMessage {
  const role = message.role === 'developer' ? 'system' : message.role;
  const { tool_calls: calls } = message;
  if (!Array.isArray(calls)) return { ...message, role };
  return { ...message, role, tool_calls: calls.map(withParsedArguments) };
}

function withParsedArguments(call: unknown): unknown {
  const { function: called } = (call ?? {}) as { function?: { arguments?: unknown } | null };
  if (typeof called?.arguments !== 'string') return call;
  try {
    return { ...(call as object), function: { ...called, arguments: JSON.parse(called.arguments) as unknown } };
  } catch {
    return call; // what a model wrote need not be JSON
  }
}

interface ChatStream {
  readonly head: object;
  readonly hasLogprobs: boolean;
  readonly includeUsage: boolean;
}

async function* chatEvents(
  generation: Generation,
  exchange: Exchange,
  { head, hasLogprobs, includeUsage }: ChatStream,
): AsyncGenerator<string, void, undefined> {
  const toEvent = choiceEvent(head, includeUsage);
  const event = (index: number, delta: object, logprobs: object | null, finish: FinishName | null): string =>
    toEvent(
      `{"index":${index},"delta":${JSON.stringify(delta)},"logprobs":${JSON.stringify(logprobs)},"finish_reason":${JSON.stringify(finish)}}`,
    );
  const begun = new Set<number>();
  for await (const { index, text, logprobs, finishReason } of generation) {
    let events = '';
    if (!begun.has(index)) events += event(index, { role: 'assistant', content: '' }, null, null);
    begun.add(index);
    const isNew = text !== '' || (hasLogprobs && logprobs !== undefined && logprobs.length > 0);
    if (isNew) events += event(index, { content: text }, hasLogprobs ? logprobsOf(logprobs) : null, null);
    if (finishReason) events += event(index, {}, null, finishName(finishReason));
    if (events !== '') yield events;
  }
  const { usage } = await generation.result;
  exchange.usage = usage;
  if (includeUsage) yield serverSentEvent({ ...head, choices: [], usage: usageOf(usage) });
}

const encoder = new TextEncoder();

function logprobsOf(logprobs: readonly TokenLogprob[] = []): object {
  const entry = ({ text, logprob }: Pick<TokenLogprob, 'text' | 'logprob'>) => ({
    token: text,
    logprob: finite(logprob),
    bytes: text.includes('\uFFFD') ? null : [...encoder.encode(text)], // of an incomplete character they are not known
  });
  const content = logprobs.map((each) => ({ ...entry(each), top_logprobs: (each.top ?? []).map(entry) }));
  return { content, refusal: null };
}
