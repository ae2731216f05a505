// Where the rows of a data set are.
import { Growing } from "./growing.ts";

/** Places as arrays: with n rows of f files, */
export interface PlaceColumns {
  /** Files, or names of in-memory sources: `[f]`. */
  sources: readonly string[];
  /** Source of each row: `[n]`. */
  rowSources: Int32Array;
  /** Line of each row in its source: `[n]`. */
  lines: Int32Array;
}

/** `source:line` of a row. */
export function placeOf({ sources, rowSources, lines }: PlaceColumns, rowId: number): string {
  return `${sources[rowSources[rowId] ?? 0]}:${lines[rowId]}`;
}

/** Places that grow by a row at a time. */
export class PlaceBuilder {
  readonly #sources = new Map<string, number>();
  readonly #rowSources = new Growing(new Int32Array());
  readonly #lines = new Growing(new Int32Array());

  /** Adds a row; gives its number, from 0. */
  add(source: string, line: number): number {
    const known = this.#sources.get(source) ?? this.#sources.size;
    this.#sources.set(source, known);
    this.#rowSources.push(known);
    this.#lines.push(line);
    return this.#lines.length - 1;
  }

  /** Rows so far. */
  get length(): number {
    return this.#lines.length;
  }

  /** What has been added, taken out of here. */
  async finish(): Promise<PlaceColumns> {
    const [rowSources, lines] = [await this.#rowSources.finish(), await this.#lines.finish()];
    return { sources: [...this.#sources.keys()], rowSources, lines };
  }
}
