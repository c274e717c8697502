import type { Output, ToolCall, ToolCallDelta } from '../base/types.js';
import { ResponseParser, type ResponseSettings, type ResponseSink } from '../text/response/response-parser.js';

/** Takes an output's text apart: the answer is given on, reasoning and tool calls are kept until they are read. */
export class AnswerParts implements ResponseSink {
  readonly #parser: ResponseParser;
  #newText = '';
  #readReasoning = '';
  #unreadReasoning = '';
  readonly #calls: ToolCall[] = [];
  #unreadCalls: ToolCallDelta[] = [];
  #hasEnded = false;

  constructor(settings: ResponseSettings) {
    this.#parser = new ResponseParser(settings, this);
  }

  /** Returns what of the answer is certain now. */
  push(text: string): string {
    this.#parser.push(text);
    return this.#takeText();
  }

  /** Returns what was held back. */
  end(): string {
    if (!this.#hasEnded) this.#parser.end();
    this.#hasEnded = true;
    return this.#takeText();
  }

  text(text: string): void {
    this.#newText += text;
  }

  reasoning(text: string): void {
    this.#unreadReasoning += text;
  }

  call({ index, id, name, arguments: slice }: ToolCallDelta): void {
    if (id !== undefined && name !== undefined) this.#calls.push({ id, name, arguments: '' });
    (this.#calls[index] as ToolCall).arguments += slice;
    const last = this.#unreadCalls.at(-1);
    if (last?.index === index) last.arguments += slice;
    else
      this.#unreadCalls.push({ index, ...(id !== undefined && name !== undefined && { id, name }), arguments: slice });
  }

  get hasUnread(): boolean {
    return this.#unreadReasoning !== '' || this.#unreadCalls.length > 0;
  }

  /** What has not been read yet. */
  take(): { reasoning?: string; toolCalls?: ToolCallDelta[] } {
    const parts = {
      ...(this.#unreadReasoning !== '' && { reasoning: this.#unreadReasoning }),
      ...(this.#unreadCalls.length > 0 && { toolCalls: this.#unreadCalls }),
    };
    this.#readReasoning += this.#unreadReasoning;
    this.#unreadReasoning = '';
    this.#unreadCalls = [];
    return parts;
  }

  result(): Pick<Output, 'reasoning' | 'toolCalls'> {
    const reasoning = this.#readReasoning + this.#unreadReasoning;
    return {
      ...(reasoning !== '' && { reasoning }),
      ...(this.#calls.length > 0 && { toolCalls: this.#calls.map((call) => ({ ...call })) }),
    };
  }

  #takeText(): string {
    const text = this.#newText;
    this.#newText = '';
    return text;
  }
}
