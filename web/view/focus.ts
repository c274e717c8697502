/** Elsewhere the focus of a text field opens a keyboard over the page. */
export const hasMouse = matchMedia('(pointer: fine)').matches;

/** Puts the focus into the message field: what had it may be about to go. */
export function focusMessage(): void {
  if (hasMouse) document.getElementById('message')?.focus();
}
