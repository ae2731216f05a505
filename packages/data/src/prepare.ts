// From a source of rows to examples and a report.
import { createHash, type Hash } from "node:crypto";
import { DataError, defaultMaxRowBytes, expandHome, type Tokenizer } from "@tunesmith/core";
import { encodeItems } from "./encode/encode.ts";
import type { EncodedItem, Item, LossOptions } from "./encode/item.ts";
import { countTrained } from "./encode/mask.ts";
import type { Example } from "./example.ts";
import type { ColumnNames } from "./formats/columns.ts";
import { type Format, RowError } from "./formats/format.ts";
import type { FormattingFunc } from "./formats/formatting.ts";
import { ItemReader } from "./formats/item-reader.ts";
import { NoteCounts } from "./quality/notes.ts";
import { type DataReport, tokenStatistics } from "./quality/report.ts";
import { beyondEmbedding } from "./quality/token-range.ts";
import { excerpt } from "./sources/excerpt.ts";
import { type OnBadRow, RowErrors } from "./sources/row-errors.ts";
import { type DatasetSource, type Row, readRows } from "./sources/rows.ts";

/** How rows become examples. */
export interface PrepareOptions extends LossOptions {
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
  /** Tokens kept of a row, from its start (TRL's `keep_start`); null keeps all. */
  maxLength: number | null;
  /** Bytes that a row may have; a larger one is refused. Default 1048576 (1 MiB). */
  maxRowBytes?: number;
  /** Rows of the model's embedding; a row with a token beyond them is refused. Default: not looked at. */
  vocabSize?: number;
  /** How many of the first kept rows are kept as text as well, for sample prompts. Default 0. */
  keepItems?: number;
  /** Stops between two batches of rows. */
  signal?: AbortSignal;
}

/** A data set ready for training. */
export interface PreparedData {
  /** In the order of their rows. */
  examples: Example[];
  report: DataReport;
  /** SHA-256 over ids and labels of all examples: equal fingerprints mean equal training data. */
  fingerprint: string;
  /** @internal The first rows as text: `keepItems` of them at most. */
  items: Item[];
  /** `source:line` of a row. */
  locate(rowId: number): string;
}

/** Rows, and bytes of rows, that go through door A together: enough to keep its threads busy, few enough to bound memory. */
const batch = { rows: 256, bytes: 1 << 20 };

/**
 * Reads, checks, tokenises, labels and truncates all rows of a source. Bad rows throw one `DataError` that names the first ten
 * of them; so does a data set of which nothing can be trained.
 */
export async function prepare(
  from: DatasetSource,
  tokenizer: Tokenizer,
  options: PrepareOptions,
): Promise<PreparedData> {
  const source = typeof from === "string" ? expandHome(from) : from;
  const preparation = new Preparation(tokenizer, options);
  const errors = preparation.errors;
  const { name, signal, maxRowBytes = defaultMaxRowBytes } = options;
  let waiting: Row[] = [];
  let bytes = 0;
  for await (const row of readRows(source, { name, signal, maxRowBytes }, errors)) {
    if (waiting.length === batch.rows || bytes + row.size > batch.bytes) {
      signal?.throwIfAborted();
      await preparation.add(waiting);
      waiting = [];
      bytes = 0;
    }
    waiting.push(row);
    bytes += row.size;
  }
  await preparation.add(waiting);
  if (errors.areFatal) errors.throwIfAny();
  return preparation.finish(typeof source === "string" ? source : options.name);
}

/** A row, and what its format made of it. */
interface ReadRow {
  row: Row;
  item: Item;
}

/** The state of one reading. */
class Preparation {
  readonly errors: RowErrors;
  readonly #tokenizer: Tokenizer;
  readonly #options: PrepareOptions;
  readonly #reader: ItemReader;
  readonly #lines: number[] = [];
  readonly #examples: Example[] = [];
  readonly #items: Item[] = [];
  readonly #dropped: DataReport["dropped"] = [];
  readonly #hash: Hash = createHash("sha256");
  readonly #seen = new Set<string>();
  readonly #notes = new NoteCounts();
  /** Ids of the first row, to be shown when nothing can be trained. */
  #first: Int32Array | null = null;
  #counts = { truncated: 0, truncatedReplies: 0, trainedTokens: 0, prefixMismatches: 0, duplicates: 0 };

  constructor(tokenizer: Tokenizer, options: PrepareOptions) {
    this.errors = new RowErrors(options.onBadRow);
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#reader = new ItemReader({
      ...options,
      task: "supervised",
      hasChatTemplate: tokenizer.info.chatTemplate !== null,
    });
  }

  async add(rows: readonly Row[]): Promise<void> {
    const read: ReadRow[] = [];
    for (const row of rows) {
      const item = await this.#read(row);
      if (item !== null) read.push({ row, item });
    }
    // After the first bad row the rest is only checked: the run is going to stop.
    if (this.errors.areFatal) return;
    const encoded = await this.#encode(read);
    for (const [index, entry] of encoded.entries()) {
      const { row, item } = read[index] as ReadRow;
      if (entry !== null) this.#keep(row, item, entry);
    }
  }

  async #read(row: Row): Promise<Item | null> {
    try {
      return await this.#reader.read(row);
    } catch (cause) {
      if (!(cause instanceof RowError)) throw cause;
      this.errors.add(row.source, row.line, cause.message);
      return null;
    }
  }

  /** A batch that is refused is sent again row by row, so that the error can name the line. */
  async #encode(read: readonly ReadRow[]): Promise<(EncodedItem | null)[]> {
    try {
      return await encodeItems(
        read.map(({ item }) => item),
        this.#tokenizer,
        this.#options,
      );
    } catch (cause) {
      const { encoded, faults } = await this.#encodeAlone(read);
      // A template that refuses every row is at fault itself.
      const template = read.length > 1 && faults.length === read.length && codeOf(cause) === "TEMPLATE_INVALID";
      if (template || faults.length === 0) throw cause;
      for (const { row, message } of faults) this.errors.add(row.source, row.line, message);
      return encoded;
    }
  }

  async #encodeAlone(read: readonly ReadRow[]) {
    const encoded: (EncodedItem | null)[] = [];
    const faults: { row: Row; message: string }[] = [];
    for (const { row, item } of read) {
      this.#options.signal?.throwIfAborted();
      try {
        encoded.push(...(await encodeItems([item], this.#tokenizer, this.#options)));
      } catch (cause) {
        if (!rowFaults.includes(codeOf(cause))) throw cause;
        encoded.push(null);
        faults.push({ row, message: (cause as Error).message });
      }
    }
    return { encoded, faults };
  }

  #keep(row: Row, item: Item, encoded: EncodedItem): void {
    const { vocabSize = Number.POSITIVE_INFINITY } = this.#options;
    const beyond = beyondEmbedding(encoded.ids, vocabSize, this.#tokenizer);
    if (beyond !== null) {
      this.errors.add(row.source, row.line, beyond);
      return;
    }
    this.#notes.add(row, encoded.notes ?? []);
    const rowId = this.#lines.push(row.line) - 1;
    const maxLength = this.#options.maxLength ?? Number.POSITIVE_INFINITY;
    const truncated = encoded.ids.length > maxLength;
    const ids = truncated ? encoded.ids.slice(0, maxLength) : encoded.ids;
    const labels = truncated ? encoded.labels.slice(0, maxLength) : encoded.labels;
    this.#first ??= ids;
    const trained = countTrained(labels);
    const wanted = countTrained(encoded.labels);
    if (truncated) this.#counts.truncated += 1;
    if (trained < wanted) this.#counts.truncatedReplies += 1;
    if (encoded.prefixMismatch) this.#counts.prefixMismatches += 1;
    if (trained === 0) {
      const reason =
        wanted > 0
          ? `no trained token within maxLength ${maxLength} (the row has ${encoded.ids.length})`
          : "no trained token";
      this.#dropped.push({ line: row.line, reason });
      return;
    }
    this.#counts.trainedTokens += trained;
    this.#identify(ids, labels);
    this.#examples.push({ ids, labels, turns: encoded.turns, length: ids.length, rowId, truncated });
    if (this.#items.length < (this.#options.keepItems ?? 0)) this.#items.push(item);
  }

  #identify(ids: Int32Array, labels: Int32Array): void {
    const digest = createHash("sha256").update(bytesOf(ids)).update(bytesOf(labels)).digest();
    this.#hash.update(digest);
    const key = digest.toString("base64");
    if (this.#seen.has(key)) this.#counts.duplicates += 1;
    this.#seen.add(key);
  }

  finish(source: string): PreparedData {
    const { format } = this.#reader;
    if (this.#lines.length === 0) this.errors.throwIfAny();
    if (format === null)
      throw new DataError(`[data] ${source}: expected at least one row, got none; add rows, or check the path`);
    const examples = this.#examples;
    if (examples.length === 0) throw this.#nothingToTrain(source);
    const tokens = tokenStatistics(examples.map((example) => example.length));
    const report: DataReport = {
      source,
      format: format.name,
      ignoredColumns: this.#reader.ignoredColumns,
      rows: this.#lines.length,
      skipped: this.errors.skipped,
      kept: examples.length,
      dropped: this.#dropped,
      tokens,
      ...this.#counts,
      notWritten: this.#notes.of("notWritten"),
      controlTokens: this.#notes.of("controlToken"),
      trainedShare: this.#counts.trainedTokens / tokens.total,
    };
    const lines = Int32Array.from(this.#lines);
    return {
      examples,
      report,
      fingerprint: this.#hash.digest("hex"),
      items: this.#items,
      locate: (rowId) => `${source}:${lines[rowId]}`,
    };
  }

  #nothingToTrain(source: string): DataError {
    const [first] = this.#dropped;
    const text = this.#first === null ? "" : this.#tokenizer.decode(this.#first, { skipSpecialTokens: false });
    return new DataError(
      `[data] ${source}: expected at least one row with a token to train on, but all ${this.#lines.length} rows are masked; ` +
        `first row (line ${first?.line}): ${first?.reason}, decoded: ${excerpt(text)}; check the roles, train flags and maxLength`,
    );
  }
}

/** Codes of errors that a single row can cause; a program's row may hold what JSON cannot. */
const rowFaults: readonly unknown[] = ["DATA_INVALID", "TEMPLATE_INVALID", "ARGUMENT_INVALID"];

/** Code of a typed error. */
function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

function bytesOf(array: Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
