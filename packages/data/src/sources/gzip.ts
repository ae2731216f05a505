// Unpacks a gzip-compressed file as it is read.
import { once } from "node:events";
import { createGunzip } from "node:zlib";
import { DataError } from "@tunesmith/core";
import type { OpenedFile } from "./chunks.ts";
import { beginning } from "./chunks.ts";
import { writing } from "./through.ts";

/** A gzip-compressed file that is damaged or cut off. */
export class GzipError extends DataError {}

/** Whether bytes begin as gzip does. */
export function isGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/** What a gzip-compressed file holds, several members one after the other included, with its beginning at hand. */
export function unpacked(chunks: AsyncIterable<Buffer>, path: string): Promise<OpenedFile> {
  return beginning(inflate(chunks, path));
}

async function* inflate(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer, undefined> {
  const gunzip = createGunzip({ chunkSize: 1 << 18 });
  const end = new End();
  let found: Buffer[] = [];
  gunzip.on("data", (bytes: Buffer) => found.push(bytes));
  const taken = () => {
    const all = found;
    found = [];
    return all;
  };
  try {
    for await (const _ of writing(end.seen(chunks), gunzip)) yield* taken();
    if (!gunzip.readableEnded) await once(gunzip, "end");
  } catch (cause) {
    yield* taken();
    if (!isZlib(cause)) throw cause;
    throw broken(path, (cause as Error).message, cause);
  }
  yield* taken();
  // zlib takes what follows the last member for nothing; tar pads with zeros.
  if (end.after(gunzip.bytesWritten)) throw broken(path, "other bytes after its end");
}

function broken(path: string, got: string, cause?: unknown): GzipError {
  return new GzipError(`[${path}] expected a whole gzip-compressed file, got ${got}`, { cause });
}

function isZlib(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === "string" && code.startsWith("Z_");
}

/** The last bytes of a stream, to see what the unpacking left over. */
class End {
  #bytes = 0;
  #last: Buffer = Buffer.alloc(0);

  async *seen(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      this.#bytes += chunk.length;
      this.#last = chunk;
      yield chunk;
    }
  }

  /** Whether anything but zeros stands after so many bytes. */
  after(used: number): boolean {
    const left = Math.min(this.#bytes - used, this.#last.length);
    return left > 0 && this.#last.subarray(this.#last.length - left).some((byte) => byte !== 0);
  }
}
