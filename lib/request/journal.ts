/** In tokens: when the next would not fit, the journal is emptied. */
const CAPACITY = 4096;
const FIELDS = 4;

/** The request whose tokens the journal keeps. */
export interface JournalOwner {
  /** The owner's number in the journal; -1 if the journal has none of its tokens. Set by the journal. */
  journalNumber: number;
  /** Takes tokens that its reader has already, and their text. */
  addRead(tokens: readonly number[], text: string): void;
}

/**
 * Tokens that readers have received, of all requests, in order. The results get them later, many steps at once: writing to
 * each result in each step would touch memory that has left the processor's caches, where the journal writes in sequence.
 */
export class Journal {
  readonly #owners: JournalOwner[] = [];
  /** [steps] */
  readonly #texts: string[] = [];
  #lastText: string | undefined;
  #count = 0;
  /** [tokens]: the owner's number, the token, and where its text begins and ends in the step's. */
  readonly #tokens = new Int32Array(CAPACITY * FIELDS);
  /** [steps]: how many tokens the journal has up to the end of each. */
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

  /** Gives the owners their tokens. */
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
