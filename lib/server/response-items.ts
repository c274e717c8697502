import type { ToolCallDelta } from '../index.js';

/** An event of a stream of a response, without its number. */
export interface ResponseEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

export const newId = (prefix: string): string => `${prefix}_${crypto.randomUUID().replaceAll('-', '')}`;

type Kind = 'message' | 'reasoning' | 'function_call';
type Status = 'in_progress' | 'completed' | 'incomplete';

interface Call {
  readonly call_id: string;
  readonly name: string;
}

/** What a model adds to its output. */
export interface Addition {
  readonly text: string;
  readonly reasoning?: string | undefined;
  readonly toolCalls?: readonly ToolCallDelta[] | undefined;
}

/** The items of a response as they grow, and the events that tell it. */
export class ResponseItems {
  readonly #items: ResponseItem[] = [];
  #callIndex: number | undefined;

  add({ reasoning = '', text, toolCalls = [] }: Addition): ResponseEvent[] {
    const events: ResponseEvent[] = [];
    if (reasoning !== '') events.push(...this.#extend('reasoning', reasoning));
    if (text !== '') events.push(...this.#extend('message', text));
    for (const { index, id, name, arguments: given } of toolCalls) {
      if (index !== this.#callIndex && id !== undefined && name !== undefined) {
        events.push(...this.#begin('function_call', { call_id: id, name }));
      }
      this.#callIndex = index;
      if (given !== '') events.push(...this.#extend('function_call', given));
    }
    return events;
  }

  /** An output that has nothing in it is a message without text. */
  end(status: Status): ResponseEvent[] {
    const events = this.#items.length === 0 ? this.#begin('message') : [];
    return [...events, ...this.#close(status)];
  }

  toJSON(): object[] {
    return this.#items.map((item) => item.toJSON());
  }

  #extend(kind: Kind, text: string): ResponseEvent[] {
    const events = this.#items.at(-1)?.kind === kind ? [] : this.#begin(kind);
    return [...events, ...(this.#items.at(-1)?.extend(text) ?? [])];
  }

  #begin(kind: Kind, call?: Call): ResponseEvent[] {
    const closed = this.#close('completed');
    const item = new ResponseItem(kind, this.#items.length, call);
    this.#items.push(item);
    return [...closed, ...item.begin()];
  }

  #close(status: Status): ResponseEvent[] {
    return this.#items.at(-1)?.close(status) ?? [];
  }
}

const PREFIXES: Readonly<Record<Kind, string>> = { message: 'msg', reasoning: 'rs', function_call: 'fc' };

class ResponseItem {
  readonly #id: string;
  readonly #index: number;
  readonly #call: Call | undefined;
  #text = '';
  #status: Status = 'in_progress';

  constructor(
    readonly kind: Kind,
    index: number,
    call: Call | undefined,
  ) {
    this.#id = newId(PREFIXES[kind]);
    this.#index = index;
    this.#call = call;
  }

  begin(): ResponseEvent[] {
    const item = this.kind === 'function_call' ? this.toJSON() : { ...this.toJSON(), content: [] };
    const added = { type: 'response.output_item.added', output_index: this.#index, item };
    return this.kind === 'function_call' ? [added] : [added, this.#partEvent('response.content_part.added')];
  }

  extend(delta: string): ResponseEvent[] {
    this.#text += delta;
    return [this.#event('delta', { delta })];
  }

  close(status: Status): ResponseEvent[] {
    this.#status = status;
    const { name } = this.#call ?? {};
    const done = this.kind === 'function_call' ? { name, arguments: this.#text } : { text: this.#text };
    const parts = this.kind === 'function_call' ? [] : [this.#partEvent('response.content_part.done')];
    const item = { type: 'response.output_item.done', output_index: this.#index, item: this.toJSON() };
    return [this.#event('done', done), ...parts, item];
  }

  toJSON(): object {
    const { kind: type } = this;
    const head = { id: this.#id, type, status: this.#status };
    if (type === 'function_call') return { ...head, ...this.#call, arguments: this.#text };
    const content = [this.#part];
    return type === 'message' ? { ...head, role: 'assistant', content } : { ...head, summary: [], content };
  }

  get #part(): object {
    const { kind } = this;
    if (kind === 'reasoning') return { type: 'reasoning_text', text: this.#text };
    return { type: 'output_text', text: this.#text, annotations: [], logprobs: [] };
  }

  #partEvent(type: string): ResponseEvent {
    return { type, item_id: this.#id, output_index: this.#index, content_index: 0, part: this.#part };
  }

  #event(step: 'delta' | 'done', fields: object): ResponseEvent {
    const place = { item_id: this.#id, output_index: this.#index };
    if (this.kind === 'function_call') return { type: `response.function_call_arguments.${step}`, ...place, ...fields };
    if (this.kind === 'reasoning')
      return { type: `response.reasoning_text.${step}`, ...place, content_index: 0, ...fields };
    return { type: `response.output_text.${step}`, ...place, content_index: 0, ...fields, logprobs: [] };
  }
}
