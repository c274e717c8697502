export interface ToolCall {
  readonly name: string;
  /** JSON, as far as the model has written it. */
  readonly arguments: string;
}

export interface Timing {
  readonly firstTokenMs: number;
  readonly tokens: number;
  /** False if the tokens are counted by the pieces that came: of an answer that was stopped the server tells none. */
  readonly isExact: boolean;
  /** Undefined of a single token. */
  readonly tokensPerSecond: number | undefined;
}

export interface UserMessage {
  readonly role: 'user';
  readonly id: string;
  readonly text: string;
}

export interface Answer {
  readonly role: 'assistant';
  readonly id: string;
  readonly model: string;
  readonly text: string;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  /** `length`: cut off; `interrupted`: the page was left while it ran. */
  readonly end: 'running' | 'complete' | 'length' | 'stopped' | 'interrupted' | 'failed';
  /** Why it failed. */
  readonly failure?: string | undefined;
  readonly timing?: Timing | undefined;
}

export type Message = UserMessage | Answer;

export interface Chat {
  readonly id: string;
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly updated: number;
  readonly messages: readonly Message[];
}

// crypto.randomUUID() is missing where the page comes from another machine without TLS.
export const newId = (): string =>
  Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join('');

const MAX_TITLE = 60;

export function titleOf(text: string): string {
  const line = text.trim().replaceAll(/\s+/g, ' ');
  return line.length > MAX_TITLE ? `${line.slice(0, MAX_TITLE - 1)}…` : line;
}

/** The chat as the API takes it. Chat templates want roles in turns, so questions without an answer go together. */
export function toApiMessages(messages: readonly Message[], systemPrompt: string): { role: string; content: string }[] {
  const sent = systemPrompt.trim() === '' ? [] : [{ role: 'system', content: systemPrompt }];
  for (const { role, text } of messages) {
    const last = sent.at(-1);
    if (text === '') continue;
    if (last?.role === role) last.content += `\n\n${text}`;
    else sent.push({ role, content: text });
  }
  return sent;
}
