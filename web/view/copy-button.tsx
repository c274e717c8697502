import { useState } from 'preact/hooks';
import { announce } from '../chats/announcements.js';
import { Icon } from './icons.js';

const SHOWN_MS = 1500;

export function CopyButton({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), SHOWN_MS);
  };
  return (
    <button type="button" class="icon-button small" aria-label="Copy" title="Copy" onClick={copy}>
      <Icon name={isCopied ? 'check' : 'copy'} />
    </button>
  );
}

/** Copies a code block, whose button is part of the answer's Markdown. */
export async function copyCode({ target }: Event): Promise<void> {
  const button = target instanceof Element ? target.closest('button.copy-code') : null;
  const code = button?.closest('.code')?.querySelector('code')?.textContent;
  if (!button || code == null) return;
  await copyText(code);
  button.textContent = 'Copied';
  setTimeout(() => {
    button.textContent = 'Copy';
  }, SHOWN_MS);
}

async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers have no clipboard for a page from another machine without TLS; a selected text they still copy.
    const focused = document.activeElement;
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
  }
  announce('Copied.');
}
