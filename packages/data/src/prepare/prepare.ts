// From a source of rows to examples and a report.
import { slices, type Tokenizer } from "@tunesmith/core";
import { throughCache } from "../cache/cache.ts";
import type { Item } from "../encode/item.ts";
import { ColumnExamples } from "../examples/columns.ts";
import type { Examples } from "../examples/example.ts";
import { placeOf } from "../examples/places.ts";
import type { DataReport } from "../quality/report.ts";
import type { Row } from "../sources/row.ts";
import { RowErrors } from "../sources/row-errors.ts";
import type { DatasetSource } from "../sources/rows.ts";
import type { BuiltExamples, IdSink } from "./built-examples.ts";
import { KeptRows } from "./kept-rows.ts";
import type { PrepareOptions } from "./prepare-options.ts";
import { Progress } from "./progress.ts";
import { readAhead } from "./read-ahead.ts";
import { readItems } from "./read-items.ts";
import { RowSource, readersOf } from "./row-source.ts";

/** A data set ready for training. */
export interface PreparedData {
  /** In the order of their rows. */
  examples: Examples;
  report: DataReport;
  /** SHA-256 over ids and labels of all examples: equal fingerprints mean equal training data. */
  fingerprint: string;
  /** @internal The first rows as text: `keepItems` of them at most. */
  items: Item[];
  /** @internal These rows as they were read. */
  rows: Row[];
  /** `source:line` of a row. */
  locate(rowId: number): string;
}

/**
 * Reads, checks, tokenises, labels and truncates all rows of a source, or takes them from the cache. Bad rows throw one `DataError` that
 * names the first ten of them; so does a data set of which nothing can be trained.
 */
export async function prepare(
  source: DatasetSource,
  tokenizer: Tokenizer,
  options: PrepareOptions,
): Promise<PreparedData> {
  const build = (ids: IdSink | null) => buildExamples(source, { tokenizer, options, ids });
  const built = await throughCache(source, { tokenizer, options, build });
  const { columns, places, report, fingerprint, first } = built;
  // A cache has rows, and not what was made of them.
  const again = async () => readItems(first, readersOf(tokenizer, options), new RowErrors());
  const items = built.items ?? (await again()).map(({ item }) => item);
  return {
    examples: new ColumnExamples(columns),
    report,
    fingerprint,
    items,
    rows: first,
    locate: (rowId) => placeOf(places, rowId),
  };
}

async function buildExamples(
  source: DatasetSource,
  { tokenizer, options, ids }: { tokenizer: Tokenizer; options: PrepareOptions; ids: IdSink | null },
): Promise<BuiltExamples> {
  const rows = new RowSource(source, tokenizer, options);
  const errors = new RowErrors(options.onBadRow);
  const kept = new KeptRows(tokenizer, options, errors);
  const progress = await Progress.of(source);
  for await (const batch of readAhead(rows.batches(progress.onRead), 1)) {
    errors.include(batch.errors);
    for (const row of batch.rows) {
      kept.add(row);
      if (slices.isOver) await slices.turn();
    }
    if (ids !== null) for (const page of kept.takeIds()) await ids.append(page);
    options.onProgress?.(progress.after(kept.intake.rows));
  }
  if (errors.areFatal || kept.intake.rows === 0) errors.throwIfAny();
  rows.refuseEmpty();
  const built = await kept.finish(rows.name);
  return { ...built, report: rows.report(kept.intake, errors) };
}
