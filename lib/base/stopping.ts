/** Work that can be stopped from outside, even if it does not answer. */
export class Stopping {
  #stopped: { readonly reason: unknown } | undefined;
  readonly #listeners: (() => void)[] = [];

  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  stop(reason: unknown): void {
    if (this.#stopped) return;
    this.#stopped = { reason };
    for (const listener of this.#listeners.splice(0)) listener();
  }

  /** Throws what it was stopped with. */
  throwIfStopped(): void {
    if (this.#stopped) throw this.#stopped.reason;
  }

  /** Calls `listener`, which must not throw, when it is stopped: now, if it was. */
  whenStopped(listener: () => void): void {
    if (this.#stopped) listener();
    else this.#listeners.push(listener);
  }

  /**
   * Settles as `work` does or, `graceMs` after it was stopped, rejects with the reason; the work is then left to itself, and
   * `leave` is called.
   */
  async orStopped<T>(work: Promise<T>, graceMs = 0, leave: () => void = () => {}): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    let done = false;
    const stopped = new Promise<never>((_, reject) => {
      const giveUp = (): void => {
        if (done) return;
        leave();
        reject(this.#stopped?.reason);
      };
      this.whenStopped(() => {
        if (done) return;
        if (graceMs === 0) giveUp();
        else timer = setTimeout(giveUp, graceMs);
      });
    });
    try {
      return await Promise.race([work, stopped]);
    } finally {
      done = true;
      clearTimeout(timer);
    }
  }
}
