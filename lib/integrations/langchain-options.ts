import type { BaseMessage } from '@langchain/core/messages';
import { convertToOpenAITool } from '@langchain/core/utils/function_calling';
import { forceToolCall, type GenerateOptions, type Input, type LLM, LLMError, type Tool } from '../index.js';
import { canCallTools, hasThinkingSwitch, holdsAll } from './chat-template.js';
import { toMessages } from './langchain-messages.js';

type Conversation = Extract<Input, { messages: unknown }>;

/** What a model, and each call of it, may set of a request; LangChain has names of its own for the rest. */
export type RequestOptions = Omit<GenerateOptions, 'n' | 'signal' | 'stop'> &
  Pick<Conversation, 'chatTemplate' | 'templateVars'> & {
    stop?: string[];
  };

/** By which they are told from LangChain's. */
const NAMES: Readonly<Record<keyof RequestOptions, true>> = {
  chatTemplate: true,
  templateVars: true,
  addSpecialTokens: true,
  additionalOutputs: true,
  badTokens: true,
  badWords: true,
  beamDiversityRate: true,
  beamWidth: true,
  beamWidths: true,
  bestOf: true,
  cacheSalt: true,
  draft: true,
  eagle: true,
  earlyStopping: true,
  frequencyPenalty: true,
  guided: true,
  ignoreEos: true,
  kvRetention: true,
  lengthPenalty: true,
  logitBias: true,
  logprobs: true,
  lookahead: true,
  lora: true,
  maxLogitsBytes: true,
  maxTokens: true,
  minP: true,
  minTokens: true,
  noRepeatNgramSize: true,
  presencePenalty: true,
  promptLookup: true,
  draftModel: true,
  priority: true,
  promptLogprobs: true,
  promptLogprobsStart: true,
  queueTimeoutMs: true,
  repetitionPenalty: true,
  responseTemplate: true,
  returnContextLogits: true,
  returnGenerationLogits: true,
  seed: true,
  skipSpecialTokens: true,
  stop: true,
  stopTokens: true,
  temperature: true,
  timeoutMs: true,
  topK: true,
  topLogprobs: true,
  topP: true,
  topPDecay: true,
  topPMin: true,
  topPResetToken: true,
  topPromptLogprobs: true,
};

/** The request options among the fields of a model or the options of a call; what is undefined is left out. */
export const requestOptions = (fields: object): RequestOptions =>
  Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => Object.hasOwn(NAMES, name) && value !== undefined),
  );

interface Call {
  readonly tools?: readonly object[] | undefined;
  readonly tool_choice?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/** @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_UNSUPPORTED` for tools that the model cannot call. */
export function readCall(
  messages: readonly BaseMessage[],
  { chatTemplate, templateVars, ...options }: RequestOptions,
  { call, llm }: { call: Call; llm: LLM },
): { input: Conversation; options: GenerateOptions } {
  const { tools, ...forced } = offeredTools(call, options, llm);
  const guided = forced.guided ?? options.guided;
  const isAllFormat = holdsAll(llm, { ...options, guided });
  const variables = isAllFormat && hasThinkingSwitch(llm) ? { enable_thinking: false, ...templateVars } : templateVars;
  return {
    input: { messages: toMessages(messages), tools, chatTemplate, templateVars: variables },
    options: { ...(isAllFormat && { responseTemplate: false }), ...options, ...forced, signal: call.signal },
  };
}

type Offer = Pick<Conversation, 'tools'> & Pick<GenerateOptions, 'guided' | 'responseTemplate'>;

function offeredTools({ tools = [], tool_choice: choice }: Call, options: RequestOptions, llm: LLM): Offer {
  if (choice === 'none') return {};
  const name = toolName(choice);
  const offered = tools
    .map((tool): Tool => ({ ...convertToOpenAITool(tool) }))
    .filter((tool) => name === undefined || (tool.function as { name?: unknown } | undefined)?.name === name);
  if (offered.length === 0) return {};
  const isForced = choice !== undefined && choice !== 'auto' && llm.capabilities.guided;
  const forced = isForced ? forceToolCall(offered, llm) : {};
  if (canCallTools(llm, { ...options, ...forced })) return { tools: offered, ...forced };
  const found = 'tools are not supported: the chat template takes none, or the form of the calls is not known';
  throw new LLMError('ERR_UNSUPPORTED', `${found}. Remove tools, or load another model.`, { option: 'tools' });
}

const NO_NAMES: readonly string[] = ['auto', 'any', 'required'];

function toolName(choice: unknown): string | undefined {
  if (typeof choice === 'string') return NO_NAMES.includes(choice) ? undefined : choice;
  return (choice as { function?: { name?: string } } | undefined)?.function?.name;
}
