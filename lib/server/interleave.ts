/** The items of several sources as they come; of each source one at most waits to be read. */
export function interleave<T>(sources: readonly AsyncIterable<T>[]): AsyncIterable<T> {
  const [first, ...others] = sources;
  return first && others.length === 0 ? first : interleaved(sources);
}

async function* interleaved<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T, void, undefined> {
  const ready: { item: T; taken: () => void }[] = [];
  let isDone = false;
  let wake = (): void => {};
  const all = Promise.all(
    sources.map(async (source) => {
      for await (const item of source) {
        await new Promise<void>((taken) => {
          ready.push({ item, taken });
          wake();
        });
      }
    }),
  ).finally(() => {
    isDone = true;
    wake();
  });
  all.catch(() => {}); // thrown below
  for (;;) {
    for (let next = ready.shift(); next; next = ready.shift()) {
      yield next.item;
      next.taken();
    }
    if (isDone) return void (await all);
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}
