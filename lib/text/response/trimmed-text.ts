/**
 * Text that comes in pieces, without the white space beside marks: at the start, at the end, and nowhere else. What is dropped is
 * known only later, so white space is held back until something follows.
 */
export class TrimmedText {
  readonly #write: (text: string) => void;
  #held = '';
  #hasText = false;
  /** A mark came after all text so far. */
  #isAtMark = false;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  push(text: string): void {
    if (text === '') return;
    const begin = this.#hasText || !this.#isAtMark ? 0 : text.length - text.trimStart().length;
    const end = text.trimEnd().length;
    if (end <= begin) {
      this.#held += text.slice(begin);
      return;
    }
    this.pushAll(text.slice(begin, end));
    this.#held = text.slice(end);
  }

  /** White space counts. */
  pushAll(text: string): void {
    if (text === '') return;
    this.#write(this.#held + text);
    this.#held = '';
    this.#hasText = true;
    this.#isAtMark = false;
  }

  mark(): void {
    this.#isAtMark = true;
    if (!this.#hasText) this.#held = '';
  }

  end(): void {
    if (!this.#isAtMark && this.#held !== '') this.#write(this.#held);
    this.#held = '';
  }
}
