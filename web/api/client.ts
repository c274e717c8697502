import { Failure, failureOf, inWords, unreachable } from './failure.js';

export interface Model {
  readonly id: string;
}

export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  /** Sampling settings, under the API's names. */
  readonly sampling: Readonly<Record<string, number>>;
}

/** What comes of an answer, piece by piece. */
export interface Piece {
  readonly text?: string;
  readonly reasoning?: string;
  readonly toolCalls?: readonly ToolCallPiece[];
  /** `length` where the answer was cut off. */
  readonly finish?: string;
  /** Tokens of the whole answer; with the last piece. */
  readonly tokens?: number;
}

export interface ToolCallPiece {
  readonly index: number;
  readonly function?: { readonly name?: string; readonly arguments?: string };
}

const call = async (path: string, key: string, init: RequestInit = {}): Promise<Response> => {
  const authorization: Record<string, string> = key === '' ? {} : { authorization: `Bearer ${key}` };
  const response = await fetch(path, { ...init, headers: { ...init.headers, ...authorization } }).catch((error) => {
    throw init.signal?.aborted ? error : unreachable();
  });
  if (response.ok) return response;
  throw await failureOf(response);
};

/** @throws {Failure} */
export async function listModels(key: string): Promise<Model[]> {
  const { data } = (await (await call('v1/models', key)).json()) as { data: Model[] };
  return data;
}

/** @throws {Failure} and, once `signal` is aborted, whatever `fetch` does. */
export async function* streamAnswer(request: ChatRequest, key: string, signal: AbortSignal): AsyncGenerator<Piece> {
  const { model, messages, sampling } = request;
  const body = { model, messages, ...sampling, stream: true, stream_options: { include_usage: true } };
  const response = await call('v1/chat/completions', key, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.body) throw unreachable();
  for await (const data of dataOf(response.body, signal)) {
    if (data === '[DONE]') return;
    yield pieceOf(JSON.parse(data) as Event);
  }
  throw new Failure('The connection was lost before the answer was complete.');
}

interface Event {
  readonly error?: { readonly message?: string; readonly code?: string };
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly choices?: readonly {
    readonly finish_reason?: string | null;
    readonly delta?: {
      readonly content?: string | null;
      readonly reasoning_content?: string | null;
      readonly tool_calls?: readonly ToolCallPiece[];
    };
  }[];
}

function pieceOf({ error, usage, choices }: Event): Piece {
  if (error) throw new Failure(inWords(error));
  const choice = choices?.[0];
  return {
    text: choice?.delta?.content ?? '',
    reasoning: choice?.delta?.reasoning_content ?? '',
    toolCalls: choice?.delta?.tool_calls ?? [],
    ...(choice?.finish_reason ? { finish: choice.finish_reason } : {}),
    ...(usage ? { tokens: usage.completion_tokens } : {}),
  };
}

/** The data of server-sent events. */
async function* dataOf(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let unread = '';
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw signal.aborted ? error : new Failure('The connection was lost before the answer was complete.');
      });
      if (done) return;
      unread += decoder.decode(value, { stream: true });
      const events = unread.split(/\r?\n\r?\n/);
      unread = events.pop() ?? '';
      for (const event of events) if (event.startsWith('data:')) yield event.slice('data:'.length).trim();
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}
