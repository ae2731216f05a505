// Reads rows as items of one format: the one that was named, or that of the first row.
import type { Item } from "../encode/item.ts";
import type { Row } from "../sources/rows.ts";
import { type ColumnNames, ColumnRenamer } from "./columns.ts";
import {
  type DetectOptions,
  detectFormat,
  formatNamed,
  hasColumns,
  needed,
  requireTask,
  unknownColumns,
} from "./detect.ts";
import { type Format, type FormatOptions, RowError } from "./format.ts";
import { type FormattingFunc, formatted } from "./formatting.ts";
import { formats } from "./index.ts";
import { rowWeight, weightColumn } from "./weights.ts";

/** How rows are read as items. */
export interface ItemReaderOptions extends FormatOptions, DetectOptions {
  /** Formats that rows may have. Default: all. */
  formats?: readonly Format[] | undefined;
  /** What the rows call a column, by what a format calls it. Default: the same. */
  columns?: ColumnNames | null | undefined;
  /** Makes of each row, its columns renamed, what a format reads. Default: nothing. */
  formattingFunc?: FormattingFunc | null | undefined;
}

/** Reads rows as items of one format. */
export class ItemReader {
  readonly #options: ItemReaderOptions;
  readonly #formats: readonly Format[];
  readonly #forced: Format | null;
  readonly #renamer: ColumnRenamer | null;
  readonly #ignored = new Set<string>();
  #format: Format | null = null;
  /** Where the first row is whose format was found. */
  #first: Pick<Row, "source" | "line"> = { source: "", line: 0 };
  #used: readonly string[] = [];

  constructor(options: ItemReaderOptions) {
    this.#options = options;
    this.#formats = options.formats ?? formats;
    this.#forced = options.datasetFormat === "auto" ? null : formatNamed(this.#formats, options);
    const { columns = null } = options;
    this.#renamer = columns === null ? null : new ColumnRenamer(columns, this.#formats, options);
  }

  /** The format of the rows; null before the first row. */
  get format(): Format | null {
    return this.#format;
  }

  /** Columns that rows have and the format does not read. */
  get ignoredColumns(): string[] {
    return [...this.#ignored];
  }

  /** One row as an item. A row that cannot be used rejects with {@link RowError}, rows for another task with `DataError`. */
  async read(given: Row): Promise<Item> {
    const row = await this.#shaped(given);
    const format = this.#forced ?? this.#detect(row);
    if (this.#format === null) this.#begin(format, row);
    for (const column of Object.keys(row.fields)) if (!this.#used.includes(column)) this.#ignored.add(column);
    const weight = rowWeight(row.fields);
    const item = format.read(row, this.#options);
    return weight === null ? item : { ...item, weight };
  }

  async #shaped(given: Row): Promise<Row> {
    const { formattingFunc = null, datasetTextField } = this.#options;
    const row = this.#renamer === null ? given : this.#renamer.rename(given);
    return formattingFunc === null ? row : formatted(row, formattingFunc, datasetTextField);
  }

  #begin(format: Format, { source, line }: Row): void {
    this.#format = format;
    this.#first = { source, line };
    this.#used = [...format.columns(this.#options), ...format.optionalColumns, weightColumn];
  }

  #detect({ fields, source, line }: Row): Format {
    const found = detectFormat(this.#formats, fields, this.#options);
    const first = this.#format;
    if (first === null) {
      if (found === null) throw unknownColumns(this.#formats, fields, this.#options);
      requireTask(found, this.#options.task, `${source}:${line}`);
      return found;
    }
    // What the first row's format lacks here is for that format to say.
    if (found === null || found === first) return first;
    const rank = (format: Format) => this.#formats.indexOf(format);
    const isFilled = (column: string) => (fields[column] ?? null) !== null;
    const fits = hasColumns(first, fields, this.#options) && first.columns(this.#options).some(isFilled);
    if (fits && rank(found) > rank(first)) return first;
    const place =
      this.#first.source === source ? `line ${this.#first.line}` : `${this.#first.source}:${this.#first.line}`;
    throw new RowError(
      `expected rows of one format, got "${found.name}" (${needed(found, this.#options)}) here and "${first.name}" (${needed(first, this.#options)}) in ${place}; put them into files of their own, or force one with datasetFormat`,
    );
  }
}
