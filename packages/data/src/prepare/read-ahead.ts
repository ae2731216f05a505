// Makes the next values of a source while one of them is used.

/**
 * The values of a generator, in order, of which the next `count` are being made while one is used. What goes wrong is thrown in its turn.
 * A reader that leaves ends the generator.
 */
export async function* readAhead<T>(source: AsyncGenerator<T>, count: number): AsyncGenerator<T, undefined> {
  const coming: Promise<IteratorResult<T>>[] = [];
  const ask = () => {
    const next = source.next();
    // Thrown where it is awaited, which may be only after others are used.
    next.catch(() => {});
    coming.push(next);
  };
  try {
    while (true) {
      while (coming.length <= count) ask();
      const next = await (coming.shift() as Promise<IteratorResult<T>>);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await source.return(undefined);
  }
}
