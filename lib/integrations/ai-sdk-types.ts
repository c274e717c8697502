// What this package uses of the AI SDK's provider interface (LanguageModelV3), so that none of its packages is needed. Tests
// check that the AI SDK's own types accept a model of these.

export type JsonValue = null | string | number | boolean | JsonObject | JsonValue[];
export interface JsonObject {
  [key: string]: JsonValue | undefined;
}

/** Options or metadata of each provider, by its name. */
export type ByProvider = Record<string, JsonObject>;

export type ToolOutput =
  | { type: 'text' | 'error-text'; value: string }
  | { type: 'json' | 'error-json'; value: unknown }
  | { type: 'execution-denied'; reason?: string | undefined }
  | { type: 'content'; value: readonly { type: string; text?: string | undefined }[] };

export type PromptPart =
  | { type: 'text' | 'reasoning'; text: string }
  | { type: 'tool-call'; toolCallId: string; toolName: string; input: unknown }
  | { type: 'tool-result'; toolCallId: string; toolName: string; output: ToolOutput }
  | { type: 'tool-approval-response' }
  | { type: 'file'; mediaType: string };

export type PromptMessage =
  | { role: 'system'; content: string }
  | { role: 'user' | 'assistant' | 'tool'; content: readonly PromptPart[] };

export type CallTool =
  | {
      type: 'function';
      name: string;
      description?: string | undefined;
      inputSchema: object;
      strict?: boolean | undefined;
    }
  | { type: 'provider'; id: string; name: string };

/** What doGenerate and doStream take. */
export interface CallOptions {
  prompt: readonly PromptMessage[];
  maxOutputTokens?: number | undefined;
  temperature?: number | undefined;
  stopSequences?: readonly string[] | undefined;
  topP?: number | undefined;
  topK?: number | undefined;
  presencePenalty?: number | undefined;
  frequencyPenalty?: number | undefined;
  responseFormat?: { type: 'text' } | { type: 'json'; schema?: object | undefined } | undefined;
  seed?: number | undefined;
  tools?: readonly CallTool[] | undefined;
  toolChoice?: { type: 'auto' | 'none' | 'required' } | { type: 'tool'; toolName: string } | undefined;
  /** How much to reason; since AI SDK 7. */
  reasoning?: string | undefined;
  includeRawChunks?: boolean | undefined;
  abortSignal?: AbortSignal | undefined;
  providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
}

/** Something of a call that has no effect. */
export interface Warning {
  type: 'unsupported';
  feature: string;
  details?: string;
}

export interface FinishReason {
  unified: 'stop' | 'length' | 'tool-calls' | 'error' | 'other';
  raw: string | undefined;
}

export interface CallUsage {
  inputTokens: {
    total: number | undefined;
    noCache: number | undefined;
    cacheRead: number | undefined;
    cacheWrite: undefined;
  };
  outputTokens: { total: number | undefined; text: undefined; reasoning: undefined };
}

export interface ToolCallPart {
  type: 'tool-call';
  toolCallId: string;
  toolName: string;
  /** JSON text. */
  input: string;
}

export interface GenerateResult {
  content: ({ type: 'text' | 'reasoning'; text: string } | ToolCallPart)[];
  finishReason: FinishReason;
  usage: CallUsage;
  providerMetadata: ByProvider;
  response: { modelId: string };
  warnings: Warning[];
}

export type StreamPart =
  | { type: 'stream-start'; warnings: Warning[] }
  | { type: 'response-metadata'; modelId: string }
  | { type: 'text-start' | 'text-end' | 'reasoning-start' | 'reasoning-end' | 'tool-input-end'; id: string }
  | { type: 'text-delta' | 'reasoning-delta' | 'tool-input-delta'; id: string; delta: string }
  | { type: 'tool-input-start'; id: string; toolName: string }
  | ToolCallPart
  | { type: 'raw'; rawValue: unknown }
  | { type: 'error'; error: unknown }
  | { type: 'finish'; finishReason: FinishReason; usage: CallUsage; providerMetadata: ByProvider };
