import * as v from 'valibot';
import type { ChatMessage, GenerateOptions, Generation, LLM, Output, TokenLogprob, Tool, ToolCall } from '../index.js';
import { answerHead, type FinishName, finishName, finite, usageOf } from './answer.js';
import { list, type Refused, readFields } from './body.js';
import { choiceEvent, eventStream, serverSentEvent } from './event-stream.js';
import type { Exchange } from './exchange.js';
import { badField, type FailureContext } from './http-error.js';
import type { ServedModel } from './models.js';
import { guidedBy, ignoredFields, responseFormat, samplingFields, samplingOptions } from './sampling-fields.js';
import { forcedCall, toolChoice } from './tool-choice.js';

const textPart = v.object({ type: v.literal('text'), text: v.string() });

/** How a conversation becomes a prompt, in chat/completions and tokenize. */
export const promptFields = {
  messages: list(v.looseObject({ role: v.string(), content: v.nullish(v.union([v.string(), list(textPart)])) })),
  tools: v.optional(list(v.looseObject({ type: v.string() }))),
  add_generation_prompt: v.optional(v.boolean()),
  chat_template_kwargs: v.optional(v.record(v.string(), v.unknown())),
};
const promptSchema = v.object(promptFields);
export type PromptFields = v.InferOutput<typeof promptSchema>;

const chatSchema = v.strictObject({
  ...samplingFields,
  ...ignoredFields,
  ...promptFields,
  tool_choice: toolChoice,
  parallel_tool_calls: v.optional(v.boolean()),
  max_completion_tokens: samplingFields.max_tokens,
  logprobs: v.optional(v.boolean()),
  top_logprobs: samplingFields.n,
  response_format: responseFormat,
  modalities: v.optional(v.tuple([v.literal('text')])),
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
  fields: {
    guided: 'response_format',
    'guided.json': 'response_format',
    'guided.jsonSchema': 'response_format.json_schema.schema',
    tools: 'tools',
    templateVars: 'chat_template_kwargs',
  },
};

export async function chatCompletions(
  body: Readonly<Record<string, unknown>>,
  model: ServedModel,
  exchange: Exchange,
): Promise<Response> {
  const fields = readFields(body, chatSchema, REFUSED);
  const { llm } = model;
  const options = { ...chatOptions(fields, llm), ...exchange.options };
  const maxCalls = fields.parallel_tool_calls === false ? 1 : Number.POSITIVE_INFINITY;
  const generation = llm.stream(chatInput(fields, llm), options);
  const hasLogprobs = options.logprobs === true;
  if (fields.stream) {
    const events = chatEvents(generation, exchange, {
      head: answerHead('chatcmpl', 'chat.completion.chunk', model),
      hasLogprobs,
      maxCalls,
      includeUsage: fields.stream_options?.include_usage ?? false,
    });
    return eventStream(events, exchange, CONTEXT);
  }
  const { outputs, usage } = await generation.result;
  exchange.usage = usage;
  return Response.json({
    ...answerHead('chatcmpl', 'chat.completion', model),
    choices: outputs.map((output) => ({
      index: output.index,
      message: messageOf(output, maxCalls),
      logprobs: hasLogprobs ? logprobsOf(output.logprobs) : null,
      finish_reason: finishName(output.finishReason, output.toolCalls !== undefined),
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
    logprobs,
    topLogprobs,
    ...guidedBy(fields.response_format, llm),
    ...forcedCall(fields.tool_choice, fields.tools ?? [], llm),
  };
}

function messageOf({ text, reasoning, toolCalls }: Output, maxCalls: number): object {
  const calls = toolCalls?.slice(0, maxCalls).map((call) => callOf(call));
  return {
    role: 'assistant',
    content: text === '' && calls ? null : text,
    ...reasoningOf(reasoning),
    ...(calls && { tool_calls: calls }),
    refusal: null,
  };
}

/** By both of its names: clients read one or the other. */
const reasoningOf = (reasoning: string | undefined): object =>
  reasoning === undefined ? {} : { reasoning_content: reasoning, reasoning };

const callOf = ({ id, name, arguments: args }: Partial<ToolCall>): object =>
  id === undefined ? { function: { arguments: args } } : { id, type: 'function', function: { name, arguments: args } };

/** @throws {HttpError} 400 for tools that the model's chat template would drop. */
export function chatInput(fields: PromptFields & { tool_choice?: v.InferOutput<typeof toolChoice> }, llm: LLM) {
  const tools = fields.tools?.length && fields.tool_choice !== 'none' ? (fields.tools as Tool[]) : undefined;
  if (tools && ![...llm.tokenizer.chatTemplates.values()].some((template) => /\btools\b/.test(template))) {
    throw badField('tools', "is not supported: the model's chat template takes none.", 'unsupported_parameter');
  }
  return {
    messages: fields.messages.map(asTemplatesNameIt),
    tools,
    addGenerationPrompt: fields.add_generation_prompt,
    templateVars: fields.chat_template_kwargs,
  };
}

const asTemplatesNameIt = (message: PromptFields['messages'][number]): ChatMessage =>
  message.role === 'developer' ? { ...message, role: 'system' } : message;

interface ChatStream {
  readonly head: object;
  readonly hasLogprobs: boolean;
  readonly maxCalls: number;
  readonly includeUsage: boolean;
}

async function* chatEvents(
  generation: Generation,
  exchange: Exchange,
  { head, hasLogprobs, maxCalls, includeUsage }: ChatStream,
): AsyncGenerator<string, void, undefined> {
  const toEvent = choiceEvent(head, includeUsage);
  const event = (index: number, delta: object, logprobs: object | null, finish: FinishName | null): string =>
    toEvent(
      `{"index":${index},"delta":${JSON.stringify(delta)},"logprobs":${logprobs && JSON.stringify(logprobs)},` +
        `"finish_reason":${finish && JSON.stringify(finish)}}`,
    );
  const begun = new Set<number>();
  const called = new Set<number>();
  for await (const { index, text, reasoning, toolCalls, logprobs, finishReason } of generation) {
    let events = '';
    if (!begun.has(index)) events += event(index, { role: 'assistant', content: '' }, null, null);
    begun.add(index);
    if (toolCalls) called.add(index);
    const calls = toolCalls?.filter((call) => call.index < maxCalls) ?? [];
    const delta = {
      ...reasoningOf(reasoning),
      ...(text !== '' && { content: text }),
      ...(calls.length > 0 && { tool_calls: calls.map((call) => ({ index: call.index, ...callOf(call) })) }),
    };
    const isNew = Object.keys(delta).length > 0 || (hasLogprobs && logprobs !== undefined && logprobs.length > 0);
    if (isNew) events += event(index, delta, hasLogprobs ? logprobsOf(logprobs) : null, null);
    if (finishReason) events += event(index, {}, null, finishName(finishReason, called.has(index)));
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
