import * as v from 'valibot';
import type { FinishReason, GenerateOptions, Generation, Usage } from '../index.js';
import { finishName } from './answer.js';
import { type Fields, list, type Refused, readFields } from './body.js';
import { chatInput, promptFields, USE_TEMPLATE } from './chat.js';
import { eventStream } from './event-stream.js';
import type { Exchange } from './exchange.js';
import { badField, type FailureContext } from './http-error.js';
import type { ServedModel } from './models.js';
import { messagesOf, responseInput } from './response-input.js';
import { type Addition, newId, type ResponseEvent, ResponseItems } from './response-items.js';
import { guidedBy, ignoredFields, samplingFields, samplingOptions } from './sampling-fields.js';
import { forcedCall } from './tool-choice.js';

const { max_tokens, n: _, ...sampling } = samplingFields;
const ignored = v.optional(v.unknown());

const functionTool = v.looseObject({ type: v.literal('function'), name: v.string() });
const otherTool = v.looseObject({ type: v.string() });
const isFunction = (tool: unknown): tool is v.InferOutput<typeof functionTool> =>
  (tool as { type?: unknown } | null)?.type === 'function';

const responseSchema = v.strictObject({
  ...sampling,
  ...ignoredFields,
  input: responseInput,
  instructions: v.optional(v.string()),
  max_output_tokens: max_tokens,
  tools: v.optional(list(v.lazy((tool) => (isFunction(tool) ? functionTool : otherTool)))),
  tool_choice: v.optional(v.union([v.picklist(['auto', 'none', 'required']), functionTool])),
  parallel_tool_calls: v.optional(v.boolean()),
  text: v.optional(
    v.strictObject({
      format: v.nullish(
        v.variant('type', [
          v.object({ type: v.literal('text') }),
          v.object({ type: v.literal('json_object') }),
          v.looseObject({ type: v.literal('json_schema'), schema: v.record(v.string(), v.unknown()) }),
        ]),
      ),
      verbosity: ignored,
    }),
  ),
  reasoning: v.optional(v.looseObject({ effort: ignored })),
  include: v.optional(list(v.string())),
  chat_template_kwargs: promptFields.chat_template_kwargs,
  max_tool_calls: ignored,
  client_metadata: ignored,
  // Those of REFUSED that can be harmless.
  background: ignored,
  truncation: ignored,
  top_logprobs: ignored,
});
type ResponseFields = v.InferOutput<typeof responseSchema>;

const NOTHING_IS_STORED = 'Nothing is stored here. Send the whole conversation as input.';
const USE_CHAT = 'Use /v1/chat/completions with logprobs.';
const REFUSED: Refused = {
  store: NOTHING_IS_STORED,
  previous_response_id: NOTHING_IS_STORED,
  conversation: NOTHING_IS_STORED,
  background: 'Nothing is stored here, so its answer could not be fetched. Use stream.',
  prompt: 'Prompt templates are stored at OpenAI. Use instructions and input.',
  truncation: 'Send less input.',
  context_management: 'Send less input.',
  moderation: 'Nothing is moderated here.',
  top_logprobs: USE_CHAT,
};

/** What fields of REFUSED may be. */
const HARMLESS: Fields = { store: false, background: false, truncation: 'disabled', top_logprobs: 0 };

const CONTEXT: FailureContext = {
  input: 'input',
  fields: {
    maxTokens: 'max_output_tokens',
    guided: 'text.format',
    'guided.json': 'text.format',
    'guided.jsonSchema': 'text.format.schema',
    templateVars: 'chat_template_kwargs',
  },
};

/** OpenAI's Responses, without a memory: the whole conversation is in each request. */
export async function responses(body: Fields, model: ServedModel, exchange: Exchange): Promise<Response> {
  const fields = readResponseFields(body);
  const { llm } = model;
  const tools = (fields.tools ?? []).filter(isFunction); // OpenAI's own are left out: some clients always send them
  const prompt = {
    messages: messagesOf(fields.input, fields.instructions),
    tools: tools.map(({ type, strict: _, ...described }) => ({ type, function: described })),
    tool_choice: choiceOf(fields.tool_choice),
    chat_template_kwargs: fields.chat_template_kwargs,
  };
  const format = fields.text?.format ?? undefined;
  const options: GenerateOptions = {
    ...samplingOptions(fields),
    maxTokens: fields.max_output_tokens,
    ...guidedBy(
      format?.type === 'json_schema' ? { type: format.type, json_schema: { schema: format.schema } } : format,
      llm,
      'text.format',
    ),
    ...forcedCall(prompt.tool_choice, prompt.tools, llm),
    ...exchange.options,
  };
  const generation = llm.stream(chatInput(prompt, llm), options);
  const response = new ResponseObject(fields, tools, model);
  if (fields.stream) {
    const end = {
      done: '',
      failure: ({ message }: Error) => response.event(response.failed({ code: 'server_error', message })),
    };
    return eventStream(responseEvents(generation, exchange, response), exchange, CONTEXT, end);
  }
  const { text, reasoning, toolCalls = [], usage, finishReason } = await generation.result;
  exchange.usage = usage;
  response.add({ text, reasoning, toolCalls: toolCalls.map((call, index) => ({ index, ...call })) });
  response.end(finishReason, usage);
  return Response.json(response);
}

responses.context = CONTEXT;

/** In the form of chat completions. */
const choiceOf = (choice: ResponseFields['tool_choice']) =>
  typeof choice === 'object' && choice ? { type: choice.type, function: { name: choice.name } } : choice;

function readResponseFields(body: Fields): ResponseFields {
  const refused = Object.entries(REFUSED).filter(([field]) => body[field] !== HARMLESS[field]);
  const fields = readFields(body, responseSchema, Object.fromEntries(refused));
  const nested = [
    ['reasoning.effort', fields.reasoning?.effort, USE_TEMPLATE],
    ['text.verbosity', fields.text?.verbosity, USE_TEMPLATE],
    ['include', fields.include?.find((each) => each === 'message.output_text.logprobs'), USE_CHAT],
  ] as const;
  for (const [field, value, fix] of nested) {
    if (value === undefined || value === null) continue;
    throw badField(field, `is ${JSON.stringify(value)}, which is not supported. ${fix}`, 'unsupported_parameter');
  }
  return fields;
}

/** A response as it comes about. */
class ResponseObject {
  readonly #items = new ResponseItems();
  readonly #head: object;
  readonly #maxCalls: number;
  #state: object = { status: 'in_progress', error: null, incomplete_details: null };
  #events = 0;

  constructor(fields: ResponseFields, tools: readonly object[], { name }: ServedModel) {
    this.#maxCalls = fields.parallel_tool_calls === false ? 1 : Number.POSITIVE_INFINITY;
    this.#head = {
      id: newId('resp'),
      object: 'response',
      created_at: Math.floor(Date.now() / 1000),
      model: name,
      background: false,
      instructions: fields.instructions ?? null,
      max_output_tokens: fields.max_output_tokens ?? null,
      metadata: fields.metadata ?? {},
      parallel_tool_calls: fields.parallel_tool_calls ?? true,
      previous_response_id: null,
      reasoning: { effort: null, summary: null },
      store: false,
      temperature: fields.temperature ?? null,
      text: fields.text ?? { format: { type: 'text' } },
      tool_choice: fields.tool_choice ?? 'auto',
      tools,
      top_p: fields.top_p ?? null,
      truncation: 'disabled',
    };
  }

  add({ toolCalls, ...addition }: Addition): ResponseEvent[] {
    return this.#items.add({ ...addition, toolCalls: toolCalls?.filter(({ index }) => index < this.#maxCalls) });
  }

  begun(): ResponseEvent[] {
    return ['response.created', 'response.in_progress'].map((type) => ({ type, response: this.toJSON() }));
  }

  end(reason: FinishReason, usage: Usage): ResponseEvent[] {
    const isWhole = finishName(reason) === 'stop';
    const status = isWhole ? 'completed' : 'incomplete';
    const events = this.#items.end(status);
    const incomplete_details = isWhole ? null : { reason: 'max_output_tokens' };
    this.#state = { status, error: null, incomplete_details, usage: responseUsage(usage) };
    return [...events, { type: `response.${status}`, response: this.toJSON() }];
  }

  failed(error: object): ResponseEvent {
    this.#state = { status: 'failed', error, incomplete_details: null };
    return { type: 'response.failed', response: this.toJSON() };
  }

  /** An event as it is sent. */
  event({ type, ...fields }: ResponseEvent): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#events++, ...fields })}\n\n`;
  }

  toJSON(): object {
    return { ...this.#head, ...this.#state, output: this.#items.toJSON() };
  }
}

const responseUsage = ({ promptTokens, cachedTokens, completionTokens, totalTokens }: Usage): object => ({
  input_tokens: promptTokens,
  input_tokens_details: { cached_tokens: cachedTokens },
  output_tokens: completionTokens,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: totalTokens,
});

async function* responseEvents(
  generation: Generation,
  exchange: Exchange,
  response: ResponseObject,
): AsyncGenerator<string, void, undefined> {
  const sent = (events: readonly ResponseEvent[]): string => events.map((event) => response.event(event)).join('');
  let head = response.begun(); // with the first token, as what fails before it has a status
  for await (const chunk of generation) {
    const events = sent([...head, ...response.add(chunk)]);
    head = [];
    if (events !== '') yield events;
  }
  const { finishReason, usage } = await generation.result;
  exchange.usage = usage;
  yield sent([...head, ...response.end(finishReason, usage)]);
}
