import type { OutputBuffer } from './output-buffer.js';

/** Parts, and tokens: where one more would not fit, the journal is emptied. */
const CAPACITY = 4096;

/**
 * What went to readers as it came, of all outputs, in the order it came. The outputs get it later, many steps at once: what
 * an output writes to lies in six places, and all of them have gone cold since the last step.
 */
export class Journal {
  #partCount = 0;
  #tokenCount = 0;
  // [parts]
  readonly #outputs = new Array<OutputBuffer | undefined>(CAPACITY).fill(undefined);
  readonly #texts = new Array<string>(CAPACITY).fill('');
  readonly #tokenEnds = new Int32Array(CAPACITY);
  // [tokens]
  readonly #tokens = new Int32Array(CAPACITY);

  add(output: OutputBuffer, text: string, tokens: Int32Array): void {
    if (this.#partCount === CAPACITY || this.#tokenCount + tokens.length > CAPACITY) this.empty();
    if (tokens.length > CAPACITY) {
      output.addRead(text, tokens, 0, tokens.length);
      return;
    }
    for (let i = 0; i < tokens.length; i++) this.#tokens[this.#tokenCount++] = tokens[i] as number;
    this.#outputs[this.#partCount] = output;
    this.#texts[this.#partCount] = text;
    this.#tokenEnds[this.#partCount++] = this.#tokenCount;
  }

  /** Gives the outputs what is theirs. */
  empty(): void {
    let begin = 0;
    for (let i = 0; i < this.#partCount; i++) {
      const end = this.#tokenEnds[i] as number;
      this.#outputs[i]?.addRead(this.#texts[i] as string, this.#tokens, begin, end);
      begin = end;
    }
    this.#outputs.fill(undefined, 0, this.#partCount);
    this.#texts.fill('', 0, this.#partCount);
    this.#partCount = 0;
    this.#tokenCount = 0;
  }
}
