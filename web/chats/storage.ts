import { signal } from '@preact/signals';
import type { Chat, Message } from './chat.js';

const PREFIX = 'node-tensorrt-llm/chat/';

/** Why chats are not kept; undefined if they are. */
export const storageProblem = signal<string | undefined>(undefined);

export function readChats(): Chat[] {
  const chats: Chat[] = [];
  withStorage((storage) => {
    for (const key of Object.keys(storage)) {
      const chat = key.startsWith(PREFIX) ? parseChat(storage.getItem(key) ?? '') : undefined;
      if (chat) chats.push(chat);
    }
  });
  return chats;
}

export function writeChat(chat: Chat): void {
  withStorage((storage) => storage.setItem(PREFIX + chat.id, JSON.stringify(chat)));
}

export function removeChat(id: string): void {
  withStorage((storage) => storage.removeItem(PREFIX + id));
}

/** Calls `changed` when another tab has written, or removed, a chat. */
export function onOtherTab(changed: () => void): void {
  addEventListener('storage', ({ key }) => {
    if (key === null || key.startsWith(PREFIX)) changed();
  });
}

function withStorage(use: (storage: Storage) => void): void {
  try {
    use(localStorage);
    storageProblem.value = undefined;
  } catch (error) {
    const isFull = error instanceof DOMException && error.name === 'QuotaExceededError';
    storageProblem.value = isFull
      ? 'The browser has no room left for this page, so what is new is not kept. Delete chats that you do not need.'
      : 'The browser does not let this page keep chats. They are gone when it is closed.';
  }
}

/** Another version of the page may have written it, or someone by hand. */
function parseChat(json: string): Chat | undefined {
  try {
    const chat = JSON.parse(json) as Chat;
    const isChat =
      typeof chat.id === 'string' &&
      typeof chat.title === 'string' &&
      typeof chat.updated === 'number' &&
      chat.messages.every(isMessage);
    return isChat ? { ...chat, messages: chat.messages.map(asLeft) } : undefined;
  } catch {
    return undefined;
  }
}

const isMessage = (message: Message): boolean =>
  typeof message.id === 'string' &&
  typeof message.text === 'string' &&
  (message.role === 'user' ||
    (typeof message.reasoning === 'string' && message.toolCalls.every((call) => typeof call.arguments === 'string')));

/** An answer that was being written when it was kept is so no longer. */
const asLeft = (message: Message): Message =>
  message.role === 'assistant' && message.end === 'running' ? { ...message, end: 'interrupted' } : message;
