/** Tokens: where one more would not fit, the journal is emptied. */
const CAPACITY = 4096;
const FIELDS = 4;

/** Whose tokens the journal keeps. */
export interface JournalOwner {
  /** The owner's number in the journal; -1 where the journal has nothing of it. The journal's to set. */
  journalNumber: number;
  /** Takes tokens that its reader has already, and their text. */
  addRead(tokens: readonly number[], text: string): void;
}

/**
 * Tokens that went straight to their readers, of all requests, in the order they came. The results get them later, many
 * steps at once: what a result is kept in goes cold from step to step, where this is written to one place after the other.
 */
export class Journal {
  readonly #owners: JournalOwner[] = [];
  /** Of the steps that are in it. */
  readonly #texts: string[] = [];
  #lastText: string | undefined;
  #count = 0;
  /** [tokens]: the owner's number, the token, and where its text begins and ends in that of its step. */
  readonly #tokens = new Int32Array(CAPACITY * FIELDS);
  /** [steps]: tokens before the end of each. */
  readonly #stepEnds = new Int32Array(CAPACITY);

  add(owner: JournalOwner, token: number, stepText: string, begin: number, end: number): void {
    if (this.#count === CAPACITY) this.empty();
    if (owner.journalNumber < 0) owner.journalNumber = this.#owners.push(owner) - 1;
    if (stepText !== this.#lastText) {
      this.#texts.push(stepText);
      this.#lastText = stepText;
    }
    const at = this.#count * FIELDS;
    this.#tokens[at] = owner.journalNumber;
    this.#tokens[at + 1] = token;
    this.#tokens[at + 2] = begin;
    this.#tokens[at + 3] = end;
    this.#stepEnds[this.#texts.length - 1] = ++this.#count;
  }

  /** Gives the owners what is theirs. */
  empty(): void {
    const owners = this.#owners.map((owner) => ({ owner, tokens: [] as number[], texts: [] as string[] }));
    let at = 0;
    for (let step = 0; step < this.#texts.length; step++) {
      const text = this.#texts[step] as string;
      const end = (this.#stepEnds[step] as number) * FIELDS;
      for (; at < end; at += FIELDS) {
        const part = owners[this.#tokens[at] as number] as (typeof owners)[number];
        part.tokens.push(this.#tokens[at + 1] as number);
        part.texts.push(text.slice(this.#tokens[at + 2], this.#tokens[at + 3]));
      }
    }
    for (const { owner, tokens, texts } of owners) {
      owner.addRead(tokens, texts.join(''));
      owner.journalNumber = -1;
    }
    this.#owners.length = 0;
    this.#texts.length = 0;
    this.#lastText = undefined;
    this.#count = 0;
  }
}
