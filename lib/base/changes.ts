/** Changes between states, one at a time; whoever asks for the state that the newest leads to waits for the same one. */
export class Changes<State> {
  #goal: State;
  /** It runs, or waits for one that does. */
  #newest: Promise<void> | undefined;

  constructor(state: State) {
    this.#goal = state;
  }

  /** Calls `change`, at once if no other runs. Where it fails, the state is what it was. */
  to(goal: State, change: () => Promise<void>): Promise<void> {
    if (goal === this.#goal) return this.settled();
    const state = this.#goal;
    this.#goal = goal;
    const newest = this.#newest ? this.#newest.then(change, change) : change();
    this.#newest = newest;
    const settle = (reached: State): void => {
      if (this.#newest !== newest) return;
      this.#newest = undefined;
      this.#goal = reached;
    };
    newest.then(
      () => settle(goal),
      () => settle(state),
    );
    return newest;
  }

  /** Settles as the newest change does. */
  settled(): Promise<void> {
    return this.#newest ?? Promise.resolve();
  }
}
