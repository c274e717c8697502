import { signal } from '@preact/signals';
import { running, stop } from '../chats/answering.js';
import type { Chat } from '../chats/chat.js';
import { chats, remove } from '../chats/chats.js';
import { currentId } from '../settings.js';
import { confirm } from './confirm.js';
import { focusMessage } from './focus.js';
import { Icon } from './icons.js';

/** Of the list as a drawer, where the window is narrow. */
export const isDrawerOpen = signal(false);

export function open(id: string): void {
  currentId.value = id;
  isDrawerOpen.value = false;
  focusMessage();
}

export function ChatList() {
  return (
    <nav class="chat-list" aria-label="Chats">
      <button type="button" class="new-chat" onClick={() => open('')}>
        <Icon name="plus" />
        New chat
      </button>
      {chats.value.length === 0 ? (
        <p class="muted">Your chats stay in this browser.</p>
      ) : (
        <ul>
          {chats.value.map((chat) => (
            <ChatRow key={chat.id} chat={chat} />
          ))}
        </ul>
      )}
    </nav>
  );
}

function ChatRow({ chat: { id, title } }: { chat: Chat }) {
  const isCurrent = id === currentId.value;
  return (
    <li class={isCurrent ? 'chat-row current' : 'chat-row'}>
      <button type="button" class="chat-title" aria-current={isCurrent ? 'page' : undefined} onClick={() => open(id)}>
        <span dir="auto">{title}</span>
        {running.value.has(id) && <span class="pulse" role="img" aria-label="Answering" />}
      </button>
      <button
        type="button"
        class="icon-button small"
        aria-label={`Delete ${title}`}
        title="Delete"
        onClick={() =>
          confirm(`Delete “${title}”?`, 'Delete', () => {
            stop(id);
            remove([id]);
            if (isCurrent) open('');
          })
        }
      >
        <Icon name="trash" />
      </button>
    </li>
  );
}
