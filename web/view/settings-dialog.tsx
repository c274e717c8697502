import { signal } from '@preact/signals';
import { stop } from '../chats/answering.js';
import { chats, remove } from '../chats/chats.js';
import { loadModels } from '../models.js';
import { apiKey, SAMPLING_FIELDS, type SamplingField, sampling, systemPrompt, THEMES, theme } from '../settings.js';
import { confirm } from './confirm.js';
import { Dialog } from './dialog.js';

export const isSettingsOpen = signal(false);

const THEME_NAMES = { system: 'System', light: 'Light', dark: 'Dark' };

export function SettingsDialog() {
  return (
    <Dialog isOpen={isSettingsOpen} title="Settings" kind="side">
      <section>
        <label class="field">
          System prompt
          <textarea
            rows={4}
            placeholder="How the model should answer"
            value={systemPrompt.value}
            onInput={(event) => {
              systemPrompt.value = event.currentTarget.value;
            }}
          />
        </label>
      </section>
      <section>
        <h3>Sampling</h3>
        <p class="muted">Empty fields use the model's defaults. Changes apply to the next answer.</p>
        <div class="fields">
          {SAMPLING_FIELDS.map((field) => (
            <SamplingInput key={field.name} field={field} />
          ))}
        </div>
        <button
          type="button"
          class="button"
          onClick={() => {
            sampling.value = {};
          }}
        >
          Reset
        </button>
      </section>
      <section>
        <fieldset class="themes">
          <legend>Theme</legend>
          {THEMES.map((name) => (
            <label key={name}>
              <input
                type="radio"
                name="theme"
                checked={theme.value === name}
                onChange={() => {
                  theme.value = name;
                }}
              />
              {THEME_NAMES[name]}
            </label>
          ))}
        </fieldset>
      </section>
      <form onSubmit={(event) => event.preventDefault()}>
        <label class="field">
          API key
          <input
            type="password"
            autocomplete="off"
            placeholder="None"
            value={apiKey.value}
            onChange={(event) => {
              apiKey.value = event.currentTarget.value.trim();
              void loadModels();
            }}
          />
          <span class="muted">Kept until this tab is closed.</span>
        </label>
      </form>
      <section>
        <h3>Chats</h3>
        <p class="muted">Stored in this browser and nowhere else.</p>
        <div class="buttons">
          <button type="button" class="button" disabled={chats.value.length === 0} onClick={exportChats}>
            Export
          </button>
          <button
            type="button"
            class="button danger"
            disabled={chats.value.length === 0}
            onClick={() =>
              confirm('Delete all chats?', 'Delete all', () => {
                const ids = chats.value.map(({ id }) => id);
                ids.forEach(stop);
                remove(ids);
              })
            }
          >
            Delete all
          </button>
        </div>
      </section>
    </Dialog>
  );
}

function SamplingInput({ field: { name, label, hint, min, max, step } }: { field: SamplingField }) {
  const set = ({ value, validity }: HTMLInputElement): void => {
    const { [name]: _, ...others } = sampling.value;
    sampling.value = value === '' || !validity.valid ? others : { ...others, [name]: Number(value) };
  };
  return (
    <label class="field">
      {label}
      <input
        type="number"
        inputMode="decimal"
        placeholder="Default"
        min={min}
        max={max}
        step={Number.isInteger(step) ? step : 'any'}
        value={sampling.value[name] ?? ''}
        onChange={(event) => set(event.currentTarget)}
      />
      <span class="muted">{hint}</span>
    </label>
  );
}

function exportChats(): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(chats.value, null, 2)], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `chats-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  URL.revokeObjectURL(url);
}
