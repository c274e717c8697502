import { LLMError, messageOf } from '../base/errors.js';
import { submissions } from '../base/turns.js';

/** A prompt on its way from text to tokens. */
export interface PendingPrompt<Prompt> {
  /** Encoded in no time: others may wait for it. */
  readonly isShort: boolean;
  encode(signal: AbortSignal | undefined): Promise<Prompt>;
}

/** What happens to a request once it has its tokens, or cannot have them. */
interface Submission<Prompt> {
  submit(prompt: Prompt): void;
  fail(error: LLMError): void;
}

/** What is called at most once, in a turn of the event loop that has time for it, unless the request has left by then. */
class Entry<Prompt> {
  #submission: Submission<Prompt> | undefined;

  constructor(submission: Submission<Prompt>) {
    this.#submission = submission;
  }

  submit(prompt: Prompt): void {
    this.#do((submission) => submission.submit(prompt));
  }

  fail(error: unknown): void {
    const failure = LLMError.is(error) ? error : new LLMError('ERR_INTERNAL', messageOf(error), { cause: error });
    this.#do((submission) => submission.fail(failure));
  }

  leave(): void {
    this.#submission = undefined;
  }

  #do(act: (submission: Submission<Prompt>) => void): void {
    submissions.once(() => {
      const submission = this.#submission;
      this.#submission = undefined;
      if (submission) act(submission);
    });
  }
}

/** A short text before its turn. */
interface Place {
  /** Undefined while it is being encoded. */
  ready: (() => void) | undefined;
}

/**
 * Requests reach the executor in the order they were made if they came as tokens, and so do those with short texts. Nothing
 * waits for a long text, nor tokens for any text.
 */
export class SubmissionQueue<Prompt extends object> {
  readonly #shortTexts: Place[] = [];
  #next = 0;

  /** Returns what takes the request out, if it ends before it was submitted. */
  add(prompt: Prompt | PendingPrompt<Prompt>, submission: Submission<Prompt>): () => void {
    const entry = new Entry(submission);
    if (!isPending(prompt)) {
      entry.submit(prompt);
      return () => entry.leave();
    }
    return prompt.isShort ? this.#addShort(prompt, entry) : this.#addLong(prompt, entry);
  }

  #addShort(prompt: PendingPrompt<Prompt>, entry: Entry<Prompt>): () => void {
    const place: Place = { ready: undefined };
    this.#shortTexts.push(place);
    const setReady = (ready: () => void): void => {
      place.ready ??= ready;
      this.#goOn();
    };
    prompt.encode(undefined).then(
      (encoded) => setReady(() => entry.submit(encoded)),
      (error: unknown) => setReady(() => entry.fail(error)),
    );
    return () => {
      entry.leave();
      setReady(NOTHING);
    };
  }

  #addLong(prompt: PendingPrompt<Prompt>, entry: Entry<Prompt>): () => void {
    let stopping: AbortController | undefined = new AbortController();
    prompt
      .encode(stopping.signal)
      .then(
        (encoded) => entry.submit(encoded),
        (error: unknown) => entry.fail(error),
      )
      .finally(() => {
        stopping = undefined;
      });
    return () => {
      entry.leave();
      stopping?.abort();
    };
  }

  #goOn(): void {
    const places = this.#shortTexts;
    while (this.#next < places.length) {
      const { ready } = places[this.#next] as Place;
      if (!ready) break;
      places[this.#next++] = GONE;
      ready();
    }
    // An array is cut seldom, and never one place at a time, which would copy the others each time.
    if (this.#next * 2 < places.length) return;
    places.splice(0, this.#next);
    this.#next = 0;
  }
}

const NOTHING = (): void => {};
const GONE: Place = { ready: NOTHING };

const isPending = <Prompt extends object>(prompt: Prompt | PendingPrompt<Prompt>): prompt is PendingPrompt<Prompt> =>
  'encode' in prompt;
