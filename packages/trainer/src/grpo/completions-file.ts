// completions.jsonl of a run folder: every completion with its rewards.
import { LineFile } from "@tunesmith/core";

/** The file; it is opened when the first line is written, and cut back to where the checkpoint of a resumed run left it. */
export class CompletionsFile {
  readonly #path: string;
  #kept = 0;
  #file: LineFile | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** Bytes that a resumed run keeps. */
  keep(bytes: number): void {
    this.#kept = bytes;
  }

  /** Adds lines, and writes them. */
  async add(lines: readonly object[]): Promise<void> {
    this.#file ??= await LineFile.open(this.#path, this.#kept);
    for (const line of lines) this.#file.add(line);
    await this.#file.flush();
  }

  /** Forces what was written to the disk; gives the bytes that there are. */
  async sync(): Promise<number> {
    if (this.#file === null) return this.#kept;
    await this.#file.sync();
    return this.#file.size;
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
