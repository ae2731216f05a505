// The rows that are trained on, and what the others and they lost on their way.
import { createHash, type Hash } from "node:crypto";
import { DataError, type Tokenizer } from "@tunesmith/core";
import type { Item } from "../encode/item.ts";
import { countTrained } from "../encode/mask.ts";
import { type Sequence, type Truncated, type TruncationMode, truncate } from "../encode/truncate.ts";
import { ColumnBuilder, type ExampleColumns } from "../examples/columns.ts";
import { PlaceBuilder, type PlaceColumns } from "../examples/places.ts";
import { DigestSet } from "../quality/digests.ts";
import { NoteCounts } from "../quality/notes.ts";
import type { DataReport } from "../quality/report.ts";
import { TokenCounts } from "../quality/token-counts.ts";
import { beyondEmbedding } from "../quality/token-range.ts";
import { excerpt } from "../sources/excerpt.ts";
import type { RowErrors } from "../sources/row-errors.ts";
import type { Row } from "../sources/rows.ts";
import type { EncodedRow } from "./encode-rows.ts";
import { PartCounts, type PartReport } from "./part-counts.ts";

/** What is kept of rows. */
export interface KeepOptions {
  /** Tokens that an example may have; null: any number. */
  maxLength: number | null;
  /** What is done with a longer row. Default `keep_start` (TRL). */
  truncationMode?: TruncationMode;
  /** Rows of the model's embedding; a row with a token beyond them is refused. Default: not looked at. */
  vocabSize?: number;
  /** How many of the first kept rows are given back as they were, for sample prompts. Default 0. */
  keepItems?: number;
}

/** Tokens beyond `maxLength` that are still counted: of longer rows is said how many were cut at least. */
const countedBeyond = 4096;

/** As many tokens as are needed of a row; null for all. */
export function neededTokens({ maxLength, truncationMode = "keep_start" }: KeepOptions): number | null {
  return maxLength === null || truncationMode !== "keep_start" ? null : maxLength + countedBeyond;
}

/** What the rows became. */
export interface KeptData {
  /** The examples; `ids` are those that were not taken. */
  columns: ExampleColumns;
  places: PlaceColumns;
  report: Omit<DataReport, "source" | "format" | "ignoredColumns" | "skipped">;
  /** SHA-256 over ids, labels and weights. */
  fingerprint: string;
  /** The first kept rows, `keepItems` of them at most, and what was made of them. */
  first: Row[];
  items: Item[];
}

/** Collects the examples of one data set. */
export class KeptRows {
  readonly #tokenizer: Tokenizer;
  readonly #options: KeepOptions;
  readonly #errors: RowErrors;
  readonly #places = new PlaceBuilder();
  readonly #parts = new PartCounts();
  readonly #examples = new ColumnBuilder();
  readonly #firstRows: Row[] = [];
  readonly #items: Item[] = [];
  readonly #dropped: DataReport["dropped"] = [];
  readonly #hash: Hash = createHash("sha256");
  readonly #seen = new DigestSet();
  readonly #notes = new NoteCounts();
  readonly #tokens = new TokenCounts();
  /** Ids of the first row, to be shown when nothing can be trained. */
  #first: Int32Array | null = null;
  #counts = { truncated: 0, truncatedReplies: 0, uncounted: 0, trainedTokens: 0, prefixMismatches: 0, duplicates: 0 };
  readonly #cut = { prompt: 0, answer: 0 };

  constructor(tokenizer: Tokenizer, options: KeepOptions, errors: RowErrors) {
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#errors = errors;
  }

  /** Takes a row in, unless nothing of it can be trained or it is refused. */
  add({ row, item, encoded }: EncodedRow): void {
    const { vocabSize = Number.POSITIVE_INFINITY, keepItems = 0 } = this.#options;
    const beyond = beyondEmbedding(encoded.ids, vocabSize, this.#tokenizer);
    if (beyond !== null) {
      this.#errors.add(row.source, row.line, beyond);
      return;
    }
    this.#notes.add(row, encoded.notes ?? []);
    const rowId = this.#places.add(row.source, row.line);
    if (encoded.prefixMismatch) this.#counts.prefixMismatches += 1;
    const kept = this.#fit(row, encoded);
    if (kept === null) return;
    const { ids, labels, cut, weights } = kept;
    this.#first ??= ids;
    const truncated = ids.length < encoded.ids.length;
    if (truncated) this.#counts.truncated += 1;
    if (cut.answer > 0 || encoded.rest === "trained") this.#counts.truncatedReplies += 1;
    if (encoded.rest !== undefined) this.#counts.uncounted += 1;
    this.#cut.prompt += cut.prompt;
    this.#cut.answer += cut.answer;
    const trained = countTrained(labels);
    if (trained === 0) {
      const length = `${encoded.rest === undefined ? "" : "more than "}${encoded.ids.length}`;
      const within = `no trained token within maxLength ${this.#options.maxLength} (the row has ${length})`;
      const isCut = countTrained(encoded.labels) > 0 || encoded.rest === "trained";
      this.#dropped.push({ source: row.source, line: row.line, reason: isCut ? within : "no trained token" });
      return;
    }
    this.#counts.trainedTokens += trained;
    this.#tokens.add(ids.length);
    this.#parts.add(row, trained);
    this.#identify(kept, row);
    this.#examples.add({
      ids,
      labels,
      ...(weights !== undefined && { weights }),
      turns: encoded.turns,
      length: ids.length,
      rowId,
      truncated,
    });
    if (this.#items.length >= keepItems) return;
    this.#firstRows.push(row);
    this.#items.push(item);
  }

  /** The sequence within `maxLength`; null for a row that is dropped or refused for its length. */
  #fit(row: Row, sequence: Sequence): Truncated | null {
    const { maxLength, truncationMode: mode = "keep_start" } = this.#options;
    const tokens = sequence.ids.length;
    const most = maxLength ?? tokens;
    if (tokens <= most || mode === "keep_start" || mode === "keep_end")
      return truncate(sequence, most, mode === "keep_end" ? mode : "keep_start");
    if (mode === "drop")
      this.#dropped.push({
        source: row.source,
        line: row.line,
        reason: `${tokens} tokens, more than maxLength ${most}`,
      });
    else
      this.#errors.add(
        row.source,
        row.line,
        `expected at most ${most} tokens (maxLength), got ${tokens}; shorten the row, raise maxLength, or choose another truncationMode`,
      );
    return null;
  }

  #identify({ ids, labels, weights }: Sequence, { repeated = false }: Row): void {
    const hash = createHash("sha256").update(bytesOf(ids)).update(bytesOf(labels));
    if (weights !== undefined) hash.update(bytesOf(weights));
    const digest = hash.digest();
    this.#hash.update(digest);
    if (!this.#seen.add(digest) && !repeated) this.#counts.duplicates += 1;
  }

  /** Rows that were taken in or left out. */
  get rows(): number {
    return this.#places.length;
  }

  /** What came of each data set of a mix. */
  parts(named: Parameters<PartCounts["of"]>[0]): PartReport[] {
    return this.#parts.of(named);
  }

  /** Ids of the rows since the last call, to be kept elsewhere. A view that the next row overwrites. */
  takeIds(): Int32Array {
    return this.#examples.takeIds();
  }

  /** What was kept. A data set of which nothing can be trained is a `DataError` that shows its first row. */
  finish(source: string): KeptData {
    const columns = this.#examples.finish();
    if (columns.lengths.length === 0) throw this.#nothingToTrain(source);
    const tokens = this.#tokens.statistics;
    return {
      columns,
      places: this.#places.finish(),
      report: {
        rows: this.rows,
        kept: columns.lengths.length,
        dropped: this.#dropped,
        tokens,
        ...this.#counts,
        cutTokens: this.#cut,
        notWritten: this.#notes.of("notWritten"),
        controlTokens: this.#notes.of("controlToken"),
        endsNotTrained: this.#notes.of("endNotTrained"),
        trainedShare: this.#counts.trainedTokens / tokens.total,
        lossWeights: range(columns.spanWeights),
      },
      fingerprint: this.#hash.digest("hex"),
      first: this.#firstRows,
      items: this.#items,
    };
  }

  #nothingToTrain(source: string): DataError {
    const [first] = this.#dropped;
    const text = this.#first === null ? "" : this.#tokenizer.decode(this.#first, { skipSpecialTokens: false });
    const decoded = text === "" ? "" : `, decoded: ${excerpt(text)}`;
    return new DataError(
      `[data] ${source}: expected at least one row with a token to train on, but all ${this.rows} rows are left out; ` +
        `first row (line ${first?.line}): ${first?.reason}${decoded}; check the roles, train flags and maxLength`,
    );
  }
}

/** Smallest and largest of numbers; null for none. */
function range(numbers: Float32Array): { min: number; max: number } | null {
  if (numbers.length === 0) return null;
  const smaller = (a: number, b: number) => Math.min(a, b);
  const larger = (a: number, b: number) => Math.max(a, b);
  return { min: numbers.reduce(smaller), max: numbers.reduce(larger) };
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array | Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
