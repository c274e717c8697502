import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icons.js';

interface DialogProps {
  isOpen: Signal<boolean>;
  title: string;
  kind: 'side' | 'left' | 'small';
  children: ComponentChildren;
}

/** A modal dialog: the browser keeps the focus inside, closes it at Esc, and gives the focus back. */
export function Dialog({ isOpen, title, kind, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const close = (): void => {
    isOpen.value = false;
  };
  const open = isOpen.value;
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the key that closes a dialog is Esc, which the browser handles.
    <dialog
      ref={dialog}
      class={`dialog ${kind}`}
      aria-label={title}
      onClose={close}
      onClick={({ target }) => target === dialog.current && close()}
    >
      {open && (
        <div class="dialog-body">
          <header class="dialog-head">
            <h2>{title}</h2>
            <button type="button" class="icon-button" aria-label="Close" onClick={close}>
              <Icon name="close" />
            </button>
          </header>
          {children}
        </div>
      )}
    </dialog>
  );
}
