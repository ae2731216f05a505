// From a source of rows to examples and a report.
import { DataError, defaultMaxRowBytes, Slices, type Tokenizer } from "@tunesmith/core";
import { type CacheOptions, throughCache } from "../cache/cache.ts";
import type { Item, LossOptions } from "../encode/item.ts";
import { ColumnExamples } from "../examples/columns.ts";
import type { Examples } from "../examples/example.ts";
import { placeOf } from "../examples/places.ts";
import type { ColumnNames } from "../formats/columns.ts";
import { type Format, RowError } from "../formats/format.ts";
import type { FormattingFunc } from "../formats/formatting.ts";
import { ItemReader } from "../formats/item-reader.ts";
import type { DataReport } from "../quality/report.ts";
import { DatasetMix, type MixEntry } from "../sources/mix.ts";
import { type OnBadRow, RowErrors } from "../sources/row-errors.ts";
import { type DatasetSource, type Row, readRows } from "../sources/rows.ts";
import { nameOf, type ReadOptions } from "../sources/source.ts";
import type { BuiltExamples, IdSink } from "./built-examples.ts";
import { encodeRows, type ReadRow } from "./encode-rows.ts";
import { type KeepOptions, KeptRows, neededTokens } from "./kept-rows.ts";
import { PartReaders } from "./part-readers.ts";

/** How rows become examples. */
export interface PrepareOptions extends LossOptions, KeepOptions {
  /** How an in-memory source is called in errors. */
  name: string;
  /** Name of the rows' format; `auto` chooses by the columns of the first row. */
  datasetFormat: string;
  /** @internal Formats that rows may have; the first whose columns are there is taken. Default: all of this package. */
  formats?: readonly Format[];
  /** Column of plain text rows. */
  datasetTextField: string;
  /** What the rows call a column, by what a format calls it. Default: the same. */
  columns?: ColumnNames | null;
  /** Makes of each row, its columns renamed, what a format reads. Default: nothing. */
  formattingFunc?: FormattingFunc | null;
  /** What is done about a row that cannot be used. Default `error`. */
  onBadRow?: OnBadRow;
  /** Bytes that a row may have; a larger one is refused. Default 1048576 (1 MiB). */
  maxRowBytes?: number;
  /** Stops between two batches of rows. */
  signal?: AbortSignal;
  /** Where prepared data sets are kept for later runs. Default null: nowhere. */
  cache?: CacheOptions | null;
}

/** A data set ready for training. */
export interface PreparedData {
  /** In the order of their rows. */
  examples: Examples;
  report: DataReport;
  /** SHA-256 over ids and labels of all examples: equal fingerprints mean equal training data. */
  fingerprint: string;
  /** @internal The first rows as text: `keepItems` of them at most. */
  items: Item[];
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
  const hasChatTemplate = tokenizer.info.chatTemplate !== null;
  const newReaders = () => new PartReaders(() => new ItemReader({ ...options, task: "supervised", hasChatTemplate }));
  const build = (ids: IdSink | null) => buildExamples(source, newReaders(), { tokenizer, options, ids });
  const built = await throughCache(source, { tokenizer, options, build });
  const { columns, places, report, fingerprint, first } = built;
  // A cache has rows, and not what was made of them.
  const items = built.items ?? (await readItems(first, newReaders(), new RowErrors())).map(({ item }) => item);
  return {
    examples: new ColumnExamples(columns),
    report,
    fingerprint,
    items,
    locate: (rowId) => placeOf(places, rowId),
  };
}

async function buildExamples(
  source: DatasetSource,
  readers: PartReaders,
  { tokenizer, options, ids }: { tokenizer: Tokenizer; options: PrepareOptions; ids: IdSink | null },
): Promise<BuiltExamples> {
  const name = nameOf(source, options.name);
  const errors = new RowErrors(options.onBadRow);
  const kept = new KeptRows(tokenizer, options, errors);
  const encoding = { ...options, tokenizer, maxTokens: neededTokens(options) };
  const ignoredFiles: string[] = [];
  const slices = new Slices();
  const onIgnoredFile = (path: string) => ignoredFiles.push(path);
  await forEachBatch(source, { ...options, onIgnoredFile }, errors, async (rows) => {
    const read = await readItems(rows, readers, errors);
    // After the first bad row the rest is only checked: the run is going to stop.
    if (errors.areFatal) return;
    for (const row of await encodeRows(read, encoding, errors)) {
      kept.add(row);
      if (slices.isOver) await slices.turn();
    }
    await ids?.append(kept.takeIds());
  });
  if (errors.areFatal || kept.rows === 0) errors.throwIfAny();
  const { format, ignoredColumns } = readers;
  if (format === null)
    throw new DataError(`[data] ${name}: expected at least one row, got none; add rows, or check the path`);
  const { report, ...others } = kept.finish(name);
  return {
    ...others,
    report: {
      ...{ source: name, format, ignoredColumns, skipped: errors.skipped, ...report },
      ...(ignoredFiles.length > 0 && { ignoredFiles }),
      ...(source instanceof DatasetMix && {
        parts: kept.parts(source.entries.map((entry, n) => partOf(entry, n, readers))),
      }),
    },
  };
}

/** What a data set of a mix is called, its weight, and the format of its rows. */
function partOf({ dataset, weight }: Required<MixEntry>, index: number, readers: PartReaders) {
  return { source: nameOf(dataset, `entry ${index + 1}`), weight, format: readers.formatOf(index) };
}

async function readItems(rows: readonly Row[], readers: PartReaders, errors: RowErrors): Promise<ReadRow[]> {
  const read: ReadRow[] = [];
  for (const row of rows) {
    try {
      read.push({ row, item: await readers.of(row).read(row) });
    } catch (cause) {
      if (!(cause instanceof RowError)) throw cause;
      errors.add(row.source, row.line, cause.message);
    }
  }
  return read;
}

/** Rows, and bytes of rows, that go through door A together: enough to keep its threads busy, few enough to bound memory. */
const batch = { rows: 256, bytes: 1 << 20 };

/** Reads batches of rows; the next is read while one is worked on. */
async function forEachBatch(
  source: DatasetSource,
  {
    name,
    onIgnoredFile,
    signal,
    maxRowBytes = defaultMaxRowBytes,
  }: PrepareOptions & Pick<ReadOptions, "onIgnoredFile">,
  errors: RowErrors,
  work: (rows: readonly Row[]) => Promise<void>,
): Promise<void> {
  let working = Promise.resolve();
  let waiting: Row[] = [];
  let bytes = 0;
  const slices = new Slices();
  const start = () => {
    working = work(waiting);
    // Thrown where it is awaited, which may be only after the next rows are read.
    working.catch(() => {});
    waiting = [];
    bytes = 0;
  };
  try {
    for await (const row of readRows(source, { name, onIgnoredFile, signal, maxRowBytes }, errors)) {
      if (waiting.length === batch.rows || bytes + row.size > batch.bytes) {
        await working;
        signal?.throwIfAborted();
        start();
      }
      waiting.push(row);
      bytes += row.size;
      if (slices.isOver) await slices.turn();
    }
    await working;
    start();
  } catch (cause) {
    // Nothing goes on after a failure, and what failed first is what is thrown.
    await working.catch(() => {});
    throw cause;
  }
  await working;
}
