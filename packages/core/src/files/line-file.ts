// A file of JSON lines that grows, and that can be cut back to an earlier end.
import { type FileHandle, open } from "node:fs/promises";
import { fileOperation } from "./operations.ts";

/** A file of JSON lines that grows, and that a resumed run cuts back to where its checkpoint left it. */
export class LineFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Bytes written. */
  #size: number;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.path = path;
    this.#handle = handle;
    this.#size = size;
  }

  /**
   * Opens or makes the file.
   *
   * @param keep bytes to keep; what follows them was written after the checkpoint and will be written again
   */
  static async open(path: string, keep: number): Promise<LineFile> {
    return fileOperation("open", path, async () => {
      const handle = await open(path, "a");
      const kept = Math.min(keep, (await handle.stat()).size);
      await handle.truncate(kept);
      return new LineFile(path, handle, kept);
    });
  }

  /** Bytes in the file. */
  get size(): number {
    return this.#size;
  }

  /** Appends one object. Numbers that are not finite become null. */
  async append(value: object): Promise<void> {
    const line = Buffer.from(`${JSON.stringify(value)}\n`);
    await fileOperation("append to", this.path, () => this.#handle.appendFile(line));
    this.#size += line.length;
  }

  /** Forces what was appended to the disk. */
  async sync(): Promise<void> {
    await fileOperation("sync", this.path, () => this.#handle.sync());
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
