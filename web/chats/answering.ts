import { signal } from '@preact/signals';
import { type Piece, streamAnswer } from '../api/client.js';
import { Failure } from '../api/failure.js';
import { chosenModel, models } from '../models.js';
import { apiKey, currentId, sampling, systemPrompt } from '../settings.js';
import { announce } from './announcements.js';
import { type Answer, type Chat, newId, type Timing, titleOf, toApiMessages } from './chat.js';
import { chatOf, keep } from './chats.js';
import { oncePerFrame } from './frames.js';
import { writeChat } from './storage.js';

/** The answers that are being written, by their chats. */
export const running = signal<ReadonlyMap<string, Answer>>(new Map());

const aborts = new Map<string, AbortController>();

export const stop = (chatId: string): void => aborts.get(chatId)?.abort();

/** Asks in the current chat, or in a new one. */
export function ask(text: string): void {
  const question = { role: 'user', id: newId(), text } as const;
  const chat = chatOf(currentId.value) ?? { id: newId(), title: titleOf(text), updated: 0, messages: [] };
  currentId.value = chat.id;
  void answer({ ...chat, messages: [...chat.messages, question] });
}

/** Asks for the last answer again. */
export function regenerate(chat: Chat): void {
  void answer({ ...chat, messages: chat.messages.slice(0, -1) });
}

/** Asks another question in place of an earlier one; what came after it goes. */
export function askInstead(chat: Chat, messageId: string, text: string): void {
  const place = chat.messages.findIndex(({ id }) => id === messageId);
  const title = place === 0 ? titleOf(text) : chat.title;
  const messages = [...chat.messages.slice(0, place), { role: 'user', id: newId(), text } as const];
  void answer({ ...chat, title, messages });
}

const SAVE_MS = 2000;
const LEAVING_MS = 1000;

/** The browser cuts connections before it leaves the page, and a user may stay on it after all. */
let isLeaving = false;
addEventListener('beforeunload', () => {
  isLeaving = true;
  setTimeout(() => {
    isLeaving = false;
  }, LEAVING_MS);
});

async function answer(asked: Chat): Promise<void> {
  const chat = { ...asked, updated: Date.now() };
  const model = chosenModel.value;
  if (model === undefined || aborts.has(chat.id)) return;
  keep(chat);
  announce('');
  const abort = new AbortController();
  aborts.set(chat.id, abort);
  const writing = new Writing(model);
  const paint = oncePerFrame(() => {
    if (aborts.get(chat.id) === abort) running.value = new Map(running.value).set(chat.id, writing.answer);
  });
  const withAnswer = (): Chat => ({ ...(chatOf(chat.id) ?? chat), messages: [...chat.messages, writing.answer] });
  const saveUnfinished = (): void => {
    if (chatOf(chat.id)) writeChat(withAnswer());
  };
  const timer = setInterval(saveUnfinished, SAVE_MS);
  addEventListener('pagehide', saveUnfinished);
  paint();
  try {
    const request = { model, messages: toApiMessages(chat.messages, systemPrompt.value), sampling: sampling.value };
    for await (const piece of streamAnswer(request, apiKey.value, abort.signal)) {
      writing.add(piece);
      paint();
    }
    writing.end();
  } catch (error) {
    if (abort.signal.aborted) writing.end('stopped');
    else if (isLeaving) writing.end('interrupted');
    else writing.end('failed', error instanceof Error ? error.message : String(error));
    if (error instanceof Failure && error.needsKey) models.value = { state: 'needs-key', list: models.value.list };
  } finally {
    clearInterval(timer);
    removeEventListener('pagehide', saveUnfinished);
    aborts.delete(chat.id);
  }
  if (chatOf(chat.id)) keep(withAnswer()); // it may have been deleted
  running.value = new Map([...running.value].filter(([id]) => id !== chat.id));
  announce(END_IN_WORDS[writing.answer.end]);
}

const END_IN_WORDS = {
  running: '',
  interrupted: '',
  complete: 'The answer is complete.',
  length: 'The answer ended at the maximum length.',
  stopped: 'The answer was stopped.',
  failed: 'The answer failed.',
};

/** An answer while it comes. */
class Writing {
  answer: Answer;
  #finish: string | undefined;
  #pieces = 0;
  #tokens: number | undefined;
  readonly #asked = performance.now();
  #first = 0;
  #last = 0;

  constructor(model: string) {
    this.answer = { role: 'assistant', id: newId(), model, text: '', reasoning: '', toolCalls: [], end: 'running' };
  }

  add({ text = '', reasoning = '', toolCalls = [], finish, tokens }: Piece): void {
    this.#finish = finish ?? this.#finish;
    this.#tokens = tokens ?? this.#tokens;
    if (text === '' && reasoning === '' && toolCalls.length === 0) return;
    this.#last = performance.now();
    if (this.#pieces++ === 0) this.#first = this.#last;
    const calls = [...this.answer.toolCalls];
    for (const { index, function: called = {} } of toolCalls) {
      const { name, arguments: written } = calls[index] ?? { name: '', arguments: '' };
      calls[index] = { name: name + (called.name ?? ''), arguments: written + (called.arguments ?? '') };
    }
    this.answer = {
      ...this.answer,
      text: this.answer.text + text,
      reasoning: this.answer.reasoning + reasoning,
      toolCalls: calls,
    };
  }

  end(end: Answer['end'] = this.#finish === 'length' ? 'length' : 'complete', failure?: string): void {
    this.answer = { ...this.answer, end, failure, timing: this.#timing() };
  }

  #timing(): Timing | undefined {
    if (this.#pieces === 0) return undefined;
    const tokens = this.#tokens ?? this.#pieces;
    const seconds = (this.#last - this.#first) / 1000;
    return {
      firstTokenMs: this.#first - this.#asked,
      tokens,
      isExact: this.#tokens !== undefined,
      tokensPerSecond: tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : undefined,
    };
  }
}
