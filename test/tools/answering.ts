import type { Chunk, GenerateOptions, Generation, Input, LLM, Output, Result, ToolCall } from 'node-tensorrt-llm';

/** What a request is answered with: its chunks, without what each has in every answer. */
export type Answer = readonly Partial<Pick<Chunk, 'text' | 'reasoning' | 'toolCalls'>>[];

/** An LLM that answers its requests with `answers`, one after the other, and has seen what they asked. */
export interface AnsweringLLM {
  llm: LLM;
  requests: { input: Conversation; options: GenerateOptions }[];
}
type Conversation = Extract<Input, { messages: unknown }>;

/** Fields of an LLM whose chat template takes tools and can switch reasoning, and whose calls are found. */
export const WITH_TOOLS = {
  tokenizer: { chatTemplates: new Map([['default', '{{ tools }}{{ enable_thinking }}']]) },
  responseTemplate: { fields: { tool_calls: {} } },
};

/** Reasoning, a text in these parts, and two calls of a tool `weather`. */
export const asksWeather = (...texts: readonly string[]): Answer => [
  { reasoning: 'Two ' },
  { reasoning: 'cities.' },
  ...texts.map((text) => ({ text })),
  { toolCalls: [{ index: 0, id: 'call_1', name: 'weather', arguments: '{"city"' }] },
  // Unread chunks merge: the end of one call and the start of the next.
  {
    toolCalls: [
      { index: 0, arguments: ':"Rome"}' },
      { index: 1, id: 'call_2', name: 'weather', arguments: '{"city":' },
    ],
  },
  { toolCalls: [{ index: 1, arguments: '"Oslo"}' }] },
];

/** In all but `answers` and `fields`, the LLM is `llm`, without `guided`, which holds an output from its first token on. */
export function answering(llm: LLM, answers: readonly Answer[], fields: object = {}): AnsweringLLM {
  const requests: AnsweringLLM['requests'] = [];
  const stream = (input: Conversation, options: GenerateOptions): Generation => {
    const answer = answers[requests.length] ?? [];
    requests.push({ input, options });
    return generationOf(answer);
  };
  const generate = (input: Conversation, options: GenerateOptions): Promise<Result> => stream(input, options).result;
  const { tokenizer } = llm;
  const info = { ...llm.info, guidedAfterReasoning: false };
  const capabilities = { ...llm.capabilities, guided: false };
  return { llm: { info, capabilities, tokenizer, stream, generate, ...fields } as unknown as LLM, requests };
}

function generationOf(answer: Answer): Generation {
  async function* chunks(): AsyncGenerator<Chunk> {
    for (const part of answer) yield { index: 0, text: '', tokens: new Int32Array(1), ...part };
  }
  const iterator = chunks();
  return {
    [Symbol.asyncIterator]: () => iterator,
    result: Promise.resolve(resultOf(answer)),
    abort() {},
  } as unknown as Generation;
}

function resultOf(answer: Answer): Result {
  const toolCalls: ToolCall[] = [];
  for (const { index, id, name, arguments: part } of answer.flatMap(({ toolCalls = [] }) => toolCalls)) {
    toolCalls[index] ??= { id: id ?? '', name: name ?? '', arguments: '' };
    (toolCalls[index] as ToolCall).arguments += part;
  }
  const reasoning = answer.map(({ reasoning = '' }) => reasoning).join('');
  const said = {
    text: answer.map(({ text = '' }) => text).join(''),
    finishReason: 'stop',
    ...(reasoning !== '' && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
  } as const;
  const output: Output = { index: 0, tokens: new Int32Array(answer.length), ...said };
  return {
    ...said,
    outputs: [output],
    usage: {
      promptTokens: 10,
      cachedTokens: 4,
      completionTokens: answer.length,
      totalTokens: 10 + answer.length,
    },
    timing: { queueMs: 0, timeToFirstTokenMs: 1, totalMs: 2 },
  };
}
