// How far the reading of a data set is.
import { stat } from "node:fs/promises";
import { filesAt } from "../sources/folder.ts";
import type { DatasetSource } from "../sources/rows.ts";
import { DerivedDataset, pathsOf } from "../sources/source.ts";
import type { PrepareProgress } from "./prepare-options.ts";

/** Counts what has been read of a data set. */
export class Progress {
  /** Bytes of its files, or rows of its array; null where that is not known. */
  readonly #whole: { bytes: number } | { rows: number } | null;
  #bytes = 0;

  private constructor(whole: { bytes: number } | { rows: number } | null) {
    this.#whole = whole;
  }

  /** Begins at 0. Files that cannot be looked at are told of when they are read. */
  static async of(source: DatasetSource): Promise<Progress> {
    if (source instanceof DerivedDataset) return new Progress(null);
    const paths = pathsOf(source);
    if (paths === null) return new Progress(Array.isArray(source) ? { rows: source.length } : null);
    try {
      const files = await Promise.all(paths.map((path) => filesAt(path, () => {})));
      const sizes = await Promise.all(files.flat().map(async (file) => (await stat(file)).size));
      return new Progress({ bytes: sizes.reduce((sum, size) => sum + size, 0) });
    } catch {
      return new Progress(null);
    }
  }

  /** Bytes have been read. */
  readonly onRead = (bytes: number): void => {
    this.#bytes += bytes;
  };

  /** How far it is after so many rows. */
  after(rows: number): PrepareProgress {
    const whole = this.#whole;
    if (whole === null) return { rows, share: null };
    const [done, all] = "bytes" in whole ? [this.#bytes, whole.bytes] : [rows, whole.rows];
    return { rows, share: all === 0 ? 1 : Math.min(1, done / all) };
  }
}
