// Rows in batches, as they go through door A together.
import { slices } from "@tunesmith/core";
import { RowErrors } from "../sources/row-errors.ts";
import { type DatasetSource, type Row, readRows } from "../sources/rows.ts";
import type { ReadOptions } from "../sources/source.ts";

/** Rows, and bytes of rows, that go through door A together: enough to keep its threads busy, few enough to bound memory. */
const most = { rows: 256, bytes: 1 << 20 };

/** Milliseconds that a row waits for others: those of a slow source are used before there are as many. */
const patience = 1000;

/** Rows that follow each other in a source, and what was wrong with others among them. */
export interface RowBatch {
  rows: Row[];
  errors: RowErrors;
}

/** Reads batches of rows. */
export async function* rowBatches(source: DatasetSource, options: ReadOptions): AsyncGenerator<RowBatch, undefined> {
  const errors = new RowErrors();
  let rows: Row[] = [];
  let bytes = 0;
  let begun = performance.now();
  for await (const row of readRows(source, options, errors)) {
    const isLate = rows.length > 0 && performance.now() - begun > patience;
    if (isLate || rows.length === most.rows || bytes + row.size > most.bytes) {
      yield { rows, errors: errors.take() };
      rows = [];
      bytes = 0;
      begun = performance.now();
    }
    rows.push(row);
    bytes += row.size;
    if (slices.isOver) await slices.turn();
  }
  yield { rows, errors: errors.take() };
}
