// The readers of the data sets of a mix: each has a format of its own.
import type { ItemReader } from "../formats/item-reader.ts";
import type { Row } from "../sources/row.ts";

/** Readers of items by the part that a row is of; a data set that is no mix has one. */
export class PartReaders {
  readonly #make: () => ItemReader;
  readonly #readers = new Map<number, ItemReader>();

  constructor(make: () => ItemReader) {
    this.#make = make;
  }

  /** The reader of a row. */
  of({ part = 0 }: Row): ItemReader {
    const reader = this.#readers.get(part) ?? this.#make();
    this.#readers.set(part, reader);
    return reader;
  }

  /** Name of the format of a part; null before its first row. */
  formatOf(part: number): string | null {
    return this.#readers.get(part)?.format?.name ?? null;
  }

  /** Names of all formats; null before the first row. */
  get format(): string | null {
    const names = [...this.#readers.keys()].sort((a, b) => a - b).map((part) => this.formatOf(part));
    const known = [...new Set(names)].filter((name) => name !== null);
    return known.length === 0 ? null : known.join(", ");
  }

  /** Columns of any row that its format does not read. */
  get ignoredColumns(): string[] {
    return [...new Set([...this.#readers.values()].flatMap(({ ignoredColumns }) => ignoredColumns))];
  }
}
