import { computed, signal } from '@preact/signals';
import { Dialog } from './dialog.js';

const isOpen = signal(false);
const question = signal({ title: '', action: '', run: (): void => {} });

/** Asks before something is done that cannot be undone. */
export function confirm(title: string, action: string, run: () => void): void {
  question.value = { title, action, run };
  isOpen.value = true;
}

const title = computed(() => question.value.title);

export function ConfirmDialog() {
  const close = (): void => {
    isOpen.value = false;
  };
  const { action, run } = question.value;
  return (
    <Dialog isOpen={isOpen} title={title.value} kind="small">
      <p>This cannot be undone.</p>
      <div class="buttons">
        <button type="button" class="button" onClick={close}>
          Cancel
        </button>
        <button
          type="button"
          class="button danger"
          onClick={() => {
            close();
            run();
          }}
        >
          {action}
        </button>
      </div>
    </Dialog>
  );
}
