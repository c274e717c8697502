import { useState } from 'preact/hooks';
import { ask, running, stop } from '../chats/answering.js';
import { chosenModel } from '../models.js';
import { currentId } from '../settings.js';
import { focusMessage, hasMouse } from './focus.js';
import { Icon } from './icons.js';
import { TextField } from './text-field.js';

export function Composer() {
  const [text, setText] = useState('');
  const id = currentId.value;
  const isRunning = running.value.has(id);
  const canSend = text.trim() !== '' && !isRunning && chosenModel.value !== undefined;
  const send = (): void => {
    if (!canSend) return;
    ask(text);
    setText('');
    focusMessage();
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <TextField
        id="message"
        label="Message"
        placeholder="Ask something"
        value={text}
        onInput={setText}
        onSend={send}
        takesFocus={hasMouse}
      />
      {isRunning ? (
        <button
          key="stop"
          type="button"
          class="round stop"
          aria-label="Stop"
          title="Stop (Esc)"
          onClick={() => {
            stop(id);
            focusMessage();
          }}
        >
          <Icon name="stop" />
        </button>
      ) : (
        <button key="send" type="submit" class="round" aria-label="Send" title="Send (Enter)" disabled={!canSend}>
          <Icon name="send" />
        </button>
      )}
    </form>
  );
}
