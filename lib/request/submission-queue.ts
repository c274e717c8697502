import { LLMError, messageOf } from '../base/errors.js';

/** What happens to a request once it has its tokens, or cannot have them. */
interface Submission<Prompt> {
  submit(prompt: Prompt): void;
  fail(error: LLMError): void;
}

interface Waiting {
  /** Undefined while it is being encoded. */
  ready: (() => void) | undefined;
}

/** Requests reach the executor in the order they were made, though encoding a short text overtakes that of a long one. */
export class SubmissionQueue<Prompt extends object> {
  readonly #waiting: Waiting[] = [];

  add(prompt: Prompt | Promise<Prompt>, { submit, fail }: Submission<Prompt>): void {
    const entry: Waiting = { ready: undefined };
    this.#waiting.push(entry);
    if (!(prompt instanceof Promise)) {
      this.#ready(entry, () => submit(prompt));
      return;
    }
    prompt.then(
      (encoded) => this.#ready(entry, () => submit(encoded)),
      (error: unknown) => {
        const failure = LLMError.is(error) ? error : new LLMError('ERR_INTERNAL', messageOf(error), { cause: error });
        this.#ready(entry, () => fail(failure));
      },
    );
  }

  #ready(entry: Waiting, ready: () => void): void {
    entry.ready = ready;
    while (this.#waiting[0]?.ready) this.#waiting.shift()?.ready?.();
  }
}
