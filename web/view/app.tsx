import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { announcement } from '../chats/announcements.js';
import { stop } from '../chats/answering.js';
import { chosenModel, models } from '../models.js';
import { currentId, preferredModel } from '../settings.js';
import { ChatList, isDrawerOpen, open } from './chat-list.js';
import { Composer } from './composer.js';
import { ConfirmDialog } from './confirm.js';
import { Conversation } from './conversation.js';
import { Dialog } from './dialog.js';
import { Icon } from './icons.js';
import { Notices } from './notices.js';
import { isSettingsOpen, SettingsDialog } from './settings-dialog.js';

const wide = matchMedia('(min-width: 56rem)');
const isWide = signal(wide.matches);
wide.addEventListener('change', () => {
  isWide.value = wide.matches;
  isDrawerOpen.value = false;
});

export function App() {
  useEffect(() => {
    const stopAtEscape = ({ key }: KeyboardEvent): void => {
      if (key === 'Escape' && !document.querySelector('dialog[open]')) stop(currentId.value);
    };
    document.addEventListener('keydown', stopAtEscape);
    return () => document.removeEventListener('keydown', stopAtEscape);
  }, []);
  return (
    <div class="app">
      {isWide.value ? (
        <aside class="sidebar">
          <ChatList />
        </aside>
      ) : (
        <Dialog isOpen={isDrawerOpen} title="Chats" kind="left">
          <ChatList />
        </Dialog>
      )}
      <main class="main">
        <TopBar />
        <Conversation />
        <Notices />
        <Composer />
      </main>
      <SettingsDialog />
      <ConfirmDialog />
      <div class="visually-hidden" role="status">
        {announcement.value}
      </div>
    </div>
  );
}

function TopBar() {
  const { list, state } = models.value;
  return (
    <header class="top">
      {!isWide.value && (
        <button
          type="button"
          class="icon-button"
          aria-label="Chats"
          onClick={() => {
            isDrawerOpen.value = true;
          }}
        >
          <Icon name="menu" />
        </button>
      )}
      <select
        class="model"
        aria-label="Model"
        disabled={list.length === 0}
        value={chosenModel.value}
        onChange={(event) => {
          preferredModel.value = event.currentTarget.value;
        }}
      >
        {list.map(({ id }) => (
          <option key={id} value={id}>
            {id}
          </option>
        ))}
        {list.length === 0 && <option>{state === 'loading' ? 'Loading…' : 'No model'}</option>}
      </select>
      <span class="space" />
      {!isWide.value && (
        <button type="button" class="icon-button" aria-label="New chat" title="New chat" onClick={() => open('')}>
          <Icon name="plus" />
        </button>
      )}
      <button
        type="button"
        class="icon-button"
        aria-label="Settings"
        title="Settings"
        onClick={() => {
          isSettingsOpen.value = true;
        }}
      >
        <Icon name="settings" />
      </button>
    </header>
  );
}
