import { computed, signal } from '@preact/signals';
import { currentId } from '../settings.js';
import type { Chat } from './chat.js';
import { onOtherTab, readChats, removeChat, writeChat } from './storage.js';

const newestFirst = (chats: readonly Chat[]): Chat[] => chats.toSorted((a, b) => b.updated - a.updated);

export const chats = signal<readonly Chat[]>(newestFirst(readChats()));

/** The chat that is shown; undefined for a new one. */
export const current = computed(() => chats.value.find(({ id }) => id === currentId.value));

export const chatOf = (id: string): Chat | undefined => chats.value.find((each) => each.id === id);

/** Keeps a chat that is new or has changed. */
export function keep(chat: Chat): void {
  chats.value = newestFirst([chat, ...chats.value.filter(({ id }) => id !== chat.id)]);
  writeChat(chat);
}

export function remove(ids: readonly string[]): void {
  for (const id of ids) removeChat(id);
  chats.value = chats.value.filter(({ id }) => !ids.includes(id));
}

onOtherTab(() => {
  chats.value = newestFirst(readChats());
});
