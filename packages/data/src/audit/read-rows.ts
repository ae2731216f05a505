// Reads a data set for an audit: every row, usable or not.
import { type ParsedSFTConfig, slices } from "@tunesmith/core";
import { detectFormat, hasColumns } from "../formats/detect.ts";
import { RowError } from "../formats/format.ts";
import { formats } from "../formats/index.ts";
import { ItemReader } from "../formats/item-reader.ts";
import { PartReaders } from "../prepare/part-readers.ts";
import { noRows, RowErrors, type SkippedRows } from "../sources/row-errors.ts";
import { type Row, readRows } from "../sources/rows.ts";
import { type DatasetSource, nameOf } from "../sources/source.ts";
import { type AuditRow, turnsOfFields, turnsOfItem } from "./audit-row.ts";

/** Rows of a data set, and what is no row at all. */
export interface ReadForAudit {
  rows: AuditRow[];
  /** Lines that hold no row: how many, and the first. */
  unreadable: SkippedRows;
  /** All of these lines. */
  badLines: number[];
}

/** What decides how rows are read. */
export type AuditReading = Pick<
  ParsedSFTConfig,
  "datasetFormat" | "columns" | "datasetTextField" | "maxRowBytes" | "assistantOnlyLoss"
>;

/** Reads all rows of a source. A file that cannot be read at all, or has no rows, throws, as in training. */
export async function readForAudit(
  source: DatasetSource,
  name: string,
  args: AuditReading,
  signal?: AbortSignal,
): Promise<ReadForAudit> {
  const errors = new AllRowErrors("skip");
  const { datasetFormat, datasetTextField } = args;
  const reading = { datasetFormat, datasetTextField, task: "supervised" } as const;
  const readers = new PartReaders(() => new ItemReader({ ...reading, columns: args.columns, hasChatTemplate: true }));
  const rows: AuditRow[] = [];
  for await (const row of readRows(source, { name, maxRowBytes: args.maxRowBytes, signal }, errors)) {
    if (row.repeated === true) continue;
    const read = await understood(row, readers);
    const first = readers.of(row).format;
    // A row that lacks only a value is of the format of the others.
    const isOfFirst = first !== null && (read.problem === null || hasColumns(first, row.fields, reading));
    const format = isOfFirst ? first : detectFormat(formats, row.fields, reading);
    rows.push({ ...read, index: rows.length, format: format?.name ?? null });
    if (slices.isOver) await slices.turn();
  }
  if (rows.length === 0 && errors.count === 0) throw noRows(nameOf(source, name));
  return { rows, unreadable: errors.skipped, badLines: errors.lines };
}

/** Remembers every line, where others only count after the first ten. */
class AllRowErrors extends RowErrors {
  readonly lines: number[] = [];

  override add(source: string, line: number, reason: string): void {
    super.add(source, line, reason);
    this.lines.push(line);
  }
}

async function understood(row: Row, readers: PartReaders): Promise<Omit<AuditRow, "index" | "format">> {
  const { fields, line, source } = row;
  const place = { place: `${source}:${line}`, line, fields };
  try {
    return { ...place, problem: null, turns: turnsOfItem(await readers.of(row).read(row)) };
  } catch (cause) {
    if (!(cause instanceof RowError)) throw cause;
    return { ...place, problem: cause.message, turns: turnsOfFields(fields) };
  }
}
