// The examples of one data set, collected.
import { createHash, type Hash } from "node:crypto";
import type { Tokenizer } from "@tunesmith/core";
import type { Item } from "../encode/item.ts";
import { ColumnBuilder, type ExampleColumns } from "../examples/columns.ts";
import { PlaceBuilder, type PlaceColumns } from "../examples/places.ts";
import type { RowErrors } from "../sources/row-errors.ts";
import type { Row } from "../sources/rows.ts";
import type { EncodedRow } from "./encode-rows.ts";
import { type KeepOptions, RowIntake, type RowReport } from "./row-intake.ts";

/** What the rows became. */
export interface KeptData {
  /** The examples; `ids` are those that were not taken. */
  columns: ExampleColumns;
  places: PlaceColumns;
  report: RowReport;
  /** SHA-256 over ids, labels and weights. */
  fingerprint: string;
  /** The first kept rows, `keepItems` of them at most, and what was made of them. */
  first: Row[];
  items: Item[];
}

/** Collects the examples of one data set. */
export class KeptRows {
  /** What is counted of the rows. */
  readonly intake: RowIntake;
  readonly #keepItems: number;
  readonly #places = new PlaceBuilder();
  readonly #examples = new ColumnBuilder();
  readonly #first: Row[] = [];
  readonly #items: Item[] = [];
  readonly #hash: Hash = createHash("sha256");

  constructor(tokenizer: Tokenizer, options: KeepOptions, errors: RowErrors) {
    this.intake = new RowIntake(tokenizer, options, errors);
    this.#keepItems = options.keepItems ?? 0;
  }

  /** Takes a row in, unless nothing of it can be trained or it is refused. */
  add(encoded: EncodedRow): void {
    const { row, item } = encoded;
    const taken = this.intake.take(encoded, this.#places.add(row.source, row.line));
    if (taken === null) return;
    this.#hash.update(taken.digest);
    for (const example of taken.examples) this.#examples.add(example);
    if (this.#items.length >= this.#keepItems) return;
    this.#first.push(row);
    this.#items.push(item);
  }

  /** Ids of the rows since the last call, to be kept elsewhere. */
  takeIds(): Int32Array[] {
    return this.#examples.takeIds();
  }

  /** What was kept. A data set of which nothing can be trained is a `DataError` that shows its first row. */
  async finish(source: string): Promise<KeptData> {
    this.intake.refuseNothingToTrain(source);
    return {
      columns: await this.#examples.finish(),
      places: await this.#places.finish(),
      report: this.intake.report,
      fingerprint: this.#hash.digest("hex"),
      first: this.#first,
      items: this.#items,
    };
  }
}
