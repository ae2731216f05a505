// Collects what is wrong with single rows, so that one run names many of them.
import { DataError } from "@tunesmith/core";

/** How many rows an error message shows before it only counts. */
const shown = 10;

/** Collects what is wrong with single rows, so that one run names many of them. */
export class RowErrors {
  /** Rows with an error so far. */
  count = 0;
  readonly #messages: string[] = [];

  /** Notes one bad row: `source:line: message`. */
  add(source: string, line: number, message: string): void {
    this.count += 1;
    if (this.#messages.length < shown) this.#messages.push(`${source}:${line}: ${message}`);
  }

  /** Throws one `DataError` for all rows noted, the first ten in full. */
  throwIfAny(): void {
    if (this.count === 0) return;
    const [first] = this.#messages;
    if (this.count === 1) throw new DataError(`[data] ${first}`);
    const rest = this.count > shown ? `\n  … and ${this.count - shown} more` : "";
    throw new DataError(`[data] ${this.count} rows cannot be used:\n  ${this.#messages.join("\n  ")}${rest}`);
  }
}
