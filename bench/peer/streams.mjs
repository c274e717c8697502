// The peer's side in JavaScript: hand-written iterators, as ours are, that give an object for each token.
import { createRequire } from 'node:module';

const DONE = { done: true, value: undefined };

class TokenStream {
  #left; // tokens that are still to come
  #unread = [];
  #waiting;

  constructor(tokens) {
    this.#left = tokens;
  }

  push(value) {
    this.#left--;
    const step = { done: false, value };
    if (this.#waiting) {
      const resolve = this.#waiting;
      this.#waiting = undefined;
      resolve(step);
    } else {
      this.#unread.push(step);
    }
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  next() {
    if (this.#unread.length > 0) return Promise.resolve(this.#unread.shift());
    if (this.#left === 0) return Promise.resolve(DONE);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}

/** The addon `file`: functions that start `streams` requests of `maxTokens` tokens and answer an iterable of each. */
export function openPeer(file) {
  const addon = createRequire(import.meta.url)(file);
  const make = (streams, maxTokens) => Array.from({ length: streams }, () => new TokenStream(maxTokens));
  return {
    streamWithArguments(engineDir, streams, maxTokens) {
      const made = make(streams, maxTokens);
      addon.generateWithArguments(engineDir, streams, maxTokens, (stream, text, token) =>
        made[stream].push({ text, token }),
      );
      return made;
    },
    streamWithObjects(engineDir, streams, maxTokens) {
      const made = make(streams, maxTokens);
      addon.generateWithObjects(engineDir, streams, maxTokens, (event) => made[event.stream].push(event));
      return made;
    },
    /** The control: nothing crosses, and the promise is that of the end. */
    runExecutorAlone: (engineDir, streams, maxTokens) =>
      new Promise((resolve) => {
        addon.generateNothing(engineDir, streams, maxTokens, () => resolve());
      }),
  };
}
