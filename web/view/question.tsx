import { useState } from 'preact/hooks';
import { askInstead } from '../chats/answering.js';
import type { Chat, UserMessage } from '../chats/chat.js';
import { CopyButton } from './copy-button.js';
import { focusMessage } from './focus.js';
import { Icon } from './icons.js';
import { TextField } from './text-field.js';

/** `isFixed` while an answer is written. */
export function Question({ message, chat, isFixed }: { message: UserMessage; chat: Chat; isFixed: boolean }) {
  const [draft, setDraft] = useState<string | undefined>(undefined);
  const stopEditing = (): void => {
    setDraft(undefined);
    focusMessage();
  };
  const send = (): void => {
    if (draft === undefined || draft.trim() === '' || isFixed) return;
    stopEditing();
    askInstead(chat, message.id, draft);
  };
  return (
    <li class="question">
      <h2 class="visually-hidden">You</h2>
      {draft === undefined ? (
        <>
          <div class="bubble" dir="auto">
            {message.text}
          </div>
          <div class="under">
            <CopyButton text={message.text} />
            <button
              type="button"
              class="icon-button small"
              aria-label="Edit"
              title="Edit"
              disabled={isFixed}
              onClick={() => setDraft(message.text)}
            >
              <Icon name="edit" />
            </button>
          </div>
        </>
      ) : (
        <div class="editing">
          <TextField
            label="Edit your message"
            value={draft}
            onInput={setDraft}
            onSend={send}
            onCancel={stopEditing}
            takesFocus
          />
          <div class="buttons">
            <span class="muted">What follows is replaced.</span>
            <button type="button" class="button" onClick={stopEditing}>
              Cancel
            </button>
            <button type="button" class="button primary" disabled={draft.trim() === '' || isFixed} onClick={send}>
              Send
            </button>
          </div>
        </div>
      )}
    </li>
  );
}
