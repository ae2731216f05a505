// Collects what is wrong with single rows, so that one run names many of them.
import { DataError } from "@tunesmith/core";

/** How many rows are named before they are only counted. */
const shown = 10;

/** What is done about a row that cannot be used: the run ends, or goes on without it. */
export type OnBadRow = "error" | "skip";

/** Rows that were passed over because they cannot be used. */
export interface SkippedRows {
  /** How many. */
  count: number;
  /** The first ten: `source:line`, and what is wrong with it. */
  first: { place: string; reason: string }[];
}

/** Collects what is wrong with single rows, so that one run names many of them. */
export class RowErrors {
  /** Rows with an error so far. */
  count = 0;
  readonly #onBadRow: OnBadRow;
  #first: SkippedRows["first"] = [];

  constructor(onBadRow: OnBadRow = "error") {
    this.#onBadRow = onBadRow;
  }

  /** Whether the run ends because of them. */
  get areFatal(): boolean {
    return this.count > 0 && this.#onBadRow === "error";
  }

  /** The rows that a run goes on without. */
  get skipped(): SkippedRows {
    return { count: this.count, first: [...this.#first] };
  }

  /** Notes one bad row. */
  add(source: string, line: number, reason: string): void {
    this.count += 1;
    if (this.#first.length < shown) this.#first.push({ place: `${source}:${line}`, reason });
  }

  /** Notes those that others have noted, after its own. */
  include({ skipped: { count, first } }: RowErrors): void {
    this.count += count;
    this.#first = [...this.#first, ...first].slice(0, shown);
  }

  /** What has been noted since the last call, taken out of here. */
  take(): RowErrors {
    const taken = new RowErrors(this.#onBadRow);
    taken.include(this);
    this.count = 0;
    this.#first = [];
    return taken;
  }

  /** Throws one `DataError` for all rows noted, the first ten by their places; what is wrong with several is said once. */
  throwIfAny(): void {
    if (this.count === 0) return;
    const said = new Map<string, string>();
    const [first, ...others] = this.#first.map(({ place, reason }) => {
      const before = said.get(reason);
      if (before === undefined) said.set(reason, place);
      return `${place}: ${before === undefined ? reason : `the same as in ${within(before, place)}`}`;
    });
    if (this.count === 1) throw new DataError(`[data] ${first}`);
    const rest = this.count > shown ? `\n  … and ${this.count - shown} more` : "";
    throw new DataError(`[data] ${this.count} rows cannot be used:\n  ${[first, ...others].join("\n  ")}${rest}`);
  }
}

/** A place, as it is called next to another: by its line where both are in one file. */
function within(place: string, other: string): string {
  const [source, line] = [place.slice(0, place.lastIndexOf(":")), place.slice(place.lastIndexOf(":") + 1)];
  return other.startsWith(`${source}:`) ? `line ${line}` : place;
}

/** What a data set without rows is. */
export function noRows(name: string): DataError {
  return new DataError(`[data] ${name}: expected at least one row, got none; add rows, or check the path`);
}
