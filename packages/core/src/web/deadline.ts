// A promise that rejects when it is too late, or on request.

/** What {@link deadline} rejects with when it is too late. */
export const late = new Error("late");

/**
 * A promise that rejects when it is too late ({@link late}), or on request with the signal's reason. It is raced with what is waited for:
 * fetch and `AbortSignal.any` hold their signals weakly, and where one is collected (Node 20 and 22) an abort reaches nothing.
 *
 * @param timeout milliseconds
 */
export function deadline(timeout: number, signal: AbortSignal | undefined): { over: Promise<never>; end: () => void } {
  let stop: (reason: unknown) => void = () => {};
  const over = new Promise<never>((_, reject) => {
    stop = reject;
  });
  over.catch(() => {});
  const timer = setTimeout(() => stop(late), timeout);
  const abort = () => stop(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  const end = () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  };
  return { over, end };
}
