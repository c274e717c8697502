import { useEffect, useRef, useState } from 'preact/hooks';
import { storageProblem } from '../chats/storage.js';
import { loadModels, models } from '../models.js';
import { apiKey } from '../settings.js';

/** What is wrong beyond a single answer. */
export function Notices() {
  const { value } = models;
  return (
    <div class="notices">
      {value.state === 'needs-key' && <KeyForm />}
      {value.state === 'failed' && (
        <div class="notice" role="alert">
          <p>{value.failure}</p>
          <button type="button" class="button" onClick={loadModels}>
            Try again
          </button>
        </div>
      )}
      {storageProblem.value !== undefined && (
        <p class="notice" role="alert">
          {storageProblem.value}
        </p>
      )}
    </div>
  );
}

function KeyForm() {
  const [key, setKey] = useState('');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const isWrong = apiKey.value !== '';
  return (
    <form
      class="notice"
      onSubmit={(event) => {
        event.preventDefault();
        apiKey.value = key.trim();
        void loadModels();
      }}
    >
      <label>
        {isWrong ? 'The server did not accept this API key. Enter another one.' : 'This server asks for an API key.'}
        <input
          ref={field}
          type="password"
          autocomplete="off"
          placeholder="API key"
          required
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="button primary">
        Continue
      </button>
      <p class="muted">It is kept until this tab is closed.</p>
    </form>
  );
}
