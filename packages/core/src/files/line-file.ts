// A file of JSON lines that grows, and that can be cut back to an earlier end.
import { constants, type FileHandle, lstat, open } from "node:fs/promises";
import { FileSystemError } from "../errors.ts";
import { fileOperation, kindInWords } from "./operations.ts";

/** A file of JSON lines that grows, and that a resumed run cuts back to where its checkpoint left it. */
export class LineFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Bytes written. */
  #size: number;
  /** Lines that are not written yet. */
  readonly #waiting: string[] = [];

  private constructor(path: string, handle: FileHandle, size: number) {
    this.path = path;
    this.#handle = handle;
    this.#size = size;
  }

  /**
   * Opens or makes the file. What is no regular file, such as a link that leads elsewhere, is a `FileSystemError`.
   *
   * @param keep bytes to keep; what follows them was written after the checkpoint and will be written again. Of a file that is shorter,
   *   as after a power cut, the whole lines stay
   */
  static async open(path: string, keep: number): Promise<LineFile> {
    const found = await lstat(path).catch(() => null);
    if (found !== null && !found.isFile())
      throw new FileSystemError(
        `[${path}] expected a file of the run or nothing, got ${kindInWords(found)}; move it away`,
      );
    return fileOperation("open", path, async () => {
      const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW = 0 } = constants;
      const handle = await open(path, O_APPEND | O_CREAT | O_RDWR | O_NOFOLLOW);
      const { size } = await handle.stat();
      const kept = size >= keep ? keep : await wholeLines(handle, size);
      await handle.truncate(kept);
      return new LineFile(path, handle, kept);
    });
  }

  /** Bytes in the file. */
  get size(): number {
    return this.#size;
  }

  /** Adds one object to what {@link LineFile.flush} writes. Numbers that are not finite become null. */
  add(value: object): void {
    this.#waiting.push(`${JSON.stringify(value)}\n`);
  }

  /** Writes what was added. Where the system refuses that, nothing of it counts as written, and the next time tries again. */
  async flush(): Promise<void> {
    // More may be added while these are written.
    const lines = this.#waiting.length;
    const text = Buffer.from(this.#waiting.join(""));
    if (text.length === 0) return;
    await fileOperation("append to", this.path, async () => {
      // Half of a line may stand there from a time that failed.
      if ((await this.#handle.stat()).size > this.#size) await this.#handle.truncate(this.#size);
      await this.#handle.appendFile(text);
    });
    this.#size += text.length;
    this.#waiting.splice(0, lines);
  }

  /** Writes what was added, and forces it to the disk. */
  async sync(): Promise<void> {
    await this.flush();
    await fileOperation("sync", this.path, () => this.#handle.sync());
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Bytes up to the end of the last whole line. */
async function wholeLines(handle: FileHandle, size: number): Promise<number> {
  const chunk = Buffer.alloc(1 << 16);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunk.length);
    const { bytesRead } = await handle.read(chunk, 0, end - start, start);
    const last = chunk.subarray(0, bytesRead).lastIndexOf("\n");
    if (last >= 0) return start + last + 1;
    end = start;
  }
  return 0;
}
