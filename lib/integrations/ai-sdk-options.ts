import { forceToolCall, type GenerateOptions, type Input, type LLM, LLMError, type Tool } from '../index.js';
import { toMessages } from './ai-sdk-prompt.js';
import type { CallOptions, Warning } from './ai-sdk-types.js';
import { canCallTools, hasThinkingSwitch, holdsAll } from './chat-template.js';

/** The name under which the AI SDK's `providerOptions` and `providerMetadata` have ours. */
export const PROVIDER = 'node-tensorrt-llm';

/** A call of the AI SDK as a request to the LLM, with what of it has no effect. */
export interface Call {
  input: Input;
  options: GenerateOptions;
  warnings: Warning[];
}

/** @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_INVALID_OPTION`. */
export function readCall(call: CallOptions, llm: LLM): Call {
  const warnings: Warning[] = [];
  const warn = (feature: string, details: string): void =>
    void warnings.push({ type: 'unsupported', feature, details });
  const { chatTemplate, templateVars, ...own } = ownOptions(call);
  const { tools, ...forced } = toolsOf(call, llm, { own, warn });
  const guided = own.guided ?? forced.guided ?? guidedBy(call, llm, { hasTools: tools !== undefined, warn });
  const isAllFormat = holdsAll(llm, { ...own, guided });
  const thinks = reasoningOf(call, llm, { isAllFormat, warn });
  const options: GenerateOptions = {
    maxTokens: call.maxOutputTokens,
    temperature: call.temperature,
    stop: call.stopSequences?.length ? call.stopSequences : undefined,
    topP: call.topP,
    topK: call.topK,
    seed: call.seed,
    presencePenalty: penaltyOf(call, 'presencePenalty', llm, warn),
    frequencyPenalty: penaltyOf(call, 'frequencyPenalty', llm, warn),
    guided,
    responseTemplate: forced.responseTemplate ?? (isAllFormat ? false : undefined),
    ...own,
    signal: call.abortSignal,
  };
  const variables = thinks === undefined ? templateVars : { enable_thinking: thinks, ...templateVars };
  return {
    input: { messages: toMessages(call.prompt), tools, chatTemplate, templateVars: variables },
    options,
    warnings,
  };
}

type OwnOptions = Omit<GenerateOptions, 'signal'> & {
  chatTemplate?: string | undefined;
  templateVars?: Readonly<Record<string, unknown>> | undefined;
};

function ownOptions({ providerOptions }: CallOptions): OwnOptions {
  const own: OwnOptions = providerOptions?.[PROVIDER] ?? {};
  if (own.n === undefined || own.n === 1) return own;
  const message = `n is ${own.n}; expected 1, because the AI SDK reads one output. Remove it, and call several times.`;
  throw new LLMError('ERR_INVALID_OPTION', message, { option: 'n' });
}

type Warn = (feature: string, details: string) => void;

function penaltyOf(
  call: CallOptions,
  name: 'presencePenalty' | 'frequencyPenalty',
  llm: LLM,
  warn: Warn,
): number | undefined {
  if (!call[name] || llm.capabilities.outputPenalties) return call[name];
  warn(name, `The executor '${llm.info.executor}' does not support it.`);
  return undefined;
}

type Forced = Pick<GenerateOptions, 'guided' | 'responseTemplate'>;

function toolsOf(
  { tools = [], toolChoice }: CallOptions,
  llm: LLM,
  { own, warn }: { own: OwnOptions; warn: Warn },
): { tools?: Tool[] } & Forced {
  const chosen: Tool[] = [];
  for (const tool of tools) {
    if (tool.type === 'provider') {
      warn(`tool ${tool.id}`, 'Only function tools are supported.');
      continue;
    }
    const { name, description, inputSchema: parameters, strict } = tool;
    if (toolChoice?.type === 'none' || (toolChoice?.type === 'tool' && toolChoice.toolName !== name)) continue;
    if (strict)
      warn(`strict of tool ${name}`, 'The input is held to its schema only if the tool is called by toolChoice.');
    chosen.push({ type: 'function', function: { name, description, parameters } });
  }
  if (chosen.length === 0) return {};
  const isForced = toolChoice?.type === 'required' || toolChoice?.type === 'tool';
  const forced = isForced && llm.capabilities.guided ? forceToolCall(chosen, llm) : {};
  if (!canCallTools(llm, { ...forced, ...own })) {
    warn('tools', "They are left out: the model's chat template takes none, or the form of its calls is not known.");
    return {};
  }
  if (isForced && !llm.capabilities.guided) {
    warn(`toolChoice ${toolChoice.type}`, `The model can answer without a call: ${NOT_GUIDED}.`);
  }
  return { tools: chosen, ...forced };
}

const NOT_GUIDED = 'llm.capabilities.guided is false; docs/guided.md says what it needs';

function guidedBy(
  { responseFormat }: CallOptions,
  llm: LLM,
  { hasTools, warn }: { hasTools: boolean; warn: Warn },
): GenerateOptions['guided'] {
  if (responseFormat?.type !== 'json') return undefined;
  const { schema } = responseFormat;
  if (llm.capabilities.guided && !hasTools) {
    return schema ? { jsonSchema: schema as Readonly<Record<string, unknown>> } : { json: true };
  }
  const why = hasTools ? 'an output that is held to a format can hold no tool call' : NOT_GUIDED;
  warn('responseFormat json', `The output is not held to it: ${why}. Describe the JSON in the prompt.`);
  return undefined;
}

function reasoningOf(
  { reasoning = 'provider-default' }: CallOptions,
  llm: LLM,
  { isAllFormat, warn }: { isAllFormat: boolean; warn: Warn },
): boolean | undefined {
  const isAsked = reasoning !== 'provider-default' && reasoning !== 'none';
  if (isAllFormat && isAsked) warn('reasoning', 'Here an output that is held to a format has none.');
  if (hasThinkingSwitch(llm)) return isAllFormat ? false : reasoning === 'provider-default' ? undefined : isAsked;
  if (!isAllFormat && reasoning !== 'provider-default')
    warn('reasoning', "The model's chat template has no switch for it.");
  return undefined;
}
