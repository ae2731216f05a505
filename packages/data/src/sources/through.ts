// Writing to a transform of Node piece by piece, so that what it found before a fault is not lost with it.
import type { Writable } from "node:stream";

/** Bytes that are written at once: gzip makes a thousand times as many of them at most, and the event loop is soon free again. */
const piece = 1 << 14;

/** Writes chunks, and stops after each piece of them until the next is asked for. What goes wrong is thrown; so is a fault at the end. */
export async function* writing(
  chunks: AsyncIterable<Buffer>,
  transform: Writable,
): AsyncGenerator<undefined, undefined> {
  let finished = false;
  // zlib tells of a fault by the event alone; a write after it would say that the stream is destroyed.
  let fault: unknown = null;
  let fail: (error: unknown) => void = () => {};
  transform.on("error", (error) => {
    fault ??= error;
    fail(fault);
  });
  const done = (work: (callback: (error?: Error | null) => void) => void) =>
    new Promise<void>((resolve, reject) => {
      fail = reject;
      work((error) => (error ? reject(fault ?? error) : resolve()));
    });
  try {
    for await (const chunk of chunks) {
      for (let start = 0; start < chunk.length; start += piece) {
        await done((callback) => transform.write(chunk.subarray(start, start + piece), callback));
        yield;
      }
    }
    await done((callback) => transform.end(callback));
    finished = true;
    yield;
  } finally {
    if (!finished) transform.destroy();
  }
}
