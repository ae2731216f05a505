// Reads rows as items of their formats.
import { slices } from "@tunesmith/core";
import { RowError } from "../formats/format.ts";
import type { RowErrors } from "../sources/row-errors.ts";
import type { Row } from "../sources/rows.ts";
import type { ReadRow } from "./encode-rows.ts";
import type { PartReaders } from "./part-readers.ts";

/** Reads rows as items. What is wrong with one of them goes to `errors`. */
export async function readItems(rows: readonly Row[], readers: PartReaders, errors: RowErrors): Promise<ReadRow[]> {
  const read: ReadRow[] = [];
  for (const row of rows) {
    try {
      read.push({ row, item: await readers.of(row).read(row) });
    } catch (cause) {
      if (!(cause instanceof RowError)) throw cause;
      errors.add(row.source, row.line, cause.message);
    }
    if (slices.isOver) await slices.turn();
  }
  return read;
}
