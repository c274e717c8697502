import { endings } from './turns.js';

// One listener a signal, however many requests share it: Node warns at the eleventh.
interface Waiting {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}
const waiting = new WeakMap<AbortSignal, Waiting>();

/** Calls `onAbort`, which must not throw, if the signal aborts: at once, or soon if many do. The function it returns takes it back, and the last one takes the listener off. */
export function whenAborted(signal: AbortSignal, onAbort: () => void): () => void {
  const { callbacks, listener } = waiting.get(signal) ?? listen(signal);
  callbacks.add(onAbort);
  return () => {
    if (!callbacks.delete(onAbort) || callbacks.size > 0) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', listener);
  };
}

function listen(signal: AbortSignal): Waiting {
  const callbacks = new Set<() => void>();
  const listener = (): void => void endings.each(callbacks, (callback) => callback());
  const entry = { callbacks, listener };
  waiting.set(signal, entry);
  signal.addEventListener('abort', listener, { once: true });
  return entry;
}
