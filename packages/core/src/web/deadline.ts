// Waits for a request until it is too late, or one is told to stop.

/** What {@link inTime} rejects with when it is too late. */
export const late = new Error("late");

/**
 * Waits for what `start` begins. Rejects when that takes too long ({@link late}), or on request with the signal's reason; what was begun is
 * then told to stop by its own signal.
 *
 * @param timeout milliseconds
 */
export async function inTime<T>(
  start: (stop: AbortSignal) => Promise<T>,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  const stop = new AbortController();
  const waiting = deadline(timeout, signal);
  try {
    return await Promise.race([start(stop.signal), waiting.over]);
  } catch (cause) {
    stop.abort();
    throw cause;
  } finally {
    waiting.end();
  }
}

/**
 * A promise that rejects when it is too late, or on request. It is raced with what is waited for: fetch and `AbortSignal.any` hold their
 * signals weakly, and where one is collected (Node 20 and 22) an abort reaches nothing.
 */
function deadline(timeout: number, signal: AbortSignal | undefined): { over: Promise<never>; end: () => void } {
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
