// How rows become examples.
import type { CacheOptions } from "../cache/cache.ts";
import type { LossOptions } from "../encode/item.ts";
import type { ColumnNames } from "../formats/columns.ts";
import type { Format } from "../formats/format.ts";
import type { FormattingFunc } from "../formats/formatting.ts";
import type { OnBadRow } from "../sources/row-errors.ts";
import type { KeepOptions } from "./row-intake.ts";

/** How far the preparation of a data set is. */
export interface PrepareProgress {
  /** Rows taken in or left out so far. */
  rows: number;
  /** What has been read of the files' bytes, or of the array's rows; null where it is not known how much there is. */
  share: number | null;
}

/** How rows become examples. */
export interface PrepareOptions extends LossOptions, KeepOptions {
  /** How an in-memory source is called in errors. */
  name: string;
  /** Name of the rows' format; `auto` chooses by the columns of the first row. */
  datasetFormat: string;
  /**
   * What the rows are for: of preferences each row becomes two examples, the chosen answer and the rejected one; prompts are kept though
   * nothing of them is trained. Default `supervised`.
   */
  task?: "supervised" | "preference" | "prompts";
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
  /** @internal Whether a chat template that refuses all of the first rows refuses them as rows; else it is at fault itself. Default false. */
  templateWorks?: boolean;
  /** Bytes that a row may have; a larger one is refused. Default 1048576 (1 MiB). */
  maxRowBytes?: number;
  /** Stops between two batches of rows. */
  signal?: AbortSignal;
  /** Told how far it is after every batch of rows, some hundred rows each. Default: not told. */
  onProgress?: (progress: PrepareProgress) => void;
  /** Where prepared data sets are kept for later runs. Default null: nowhere. */
  cache?: CacheOptions | null;
}
