import { signal } from '@preact/signals';

/** What a screen reader says. Whole sentences only: an answer that is read out token by token cannot be understood. */
export const announcement = signal('');

const TITLE = 'Chat';

/** Says `sentence`, in the title too where the page is hidden. */
export function announce(sentence: string): void {
  announcement.value = sentence;
  if (sentence !== '' && document.hidden) document.title = `${sentence} ${TITLE}`;
}

document.addEventListener('visibilitychange', () => {
  document.title = TITLE;
});
