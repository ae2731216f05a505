// The examples of a data set as a few long arrays.
import { IGNORE_INDEX } from "../encode/mask.ts";
import type { Example, Examples } from "./example.ts";
import { Growing } from "./growing.ts";

/** The arrays. With n examples, t tokens and s spans: */
export interface ExampleColumns {
  /** Token ids of all examples, end to end: `[t]`. */
  ids: Int32Array;
  /** Tokens of each example: `[n]`. */
  lengths: Int32Array;
  /** What is trained: first token and end, counted in the example, of every run of tokens with a label: `[2 s]`. */
  spans: Int32Array;
  /** Spans of each example: `[n]`. */
  spanCounts: Int32Array;
  /** Loss weight of each span: `[s]`, or empty where every weight is 1. */
  spanWeights: Float32Array;
  /** Row of each example, counted before any row was dropped: `[n]`. */
  rowIds: Int32Array;
  /** Messages of each example: `[n]`. Negative where the example was truncated. */
  turns: Int32Array;
}

/** Examples that are read out of columns. */
export class ColumnExamples implements Examples {
  readonly columns: ExampleColumns;
  /** First token and first span of each example. Float64 counts further than Int32. */
  readonly #starts: Float64Array;
  readonly #spanStarts: Float64Array;

  constructor(columns: ExampleColumns) {
    this.columns = columns;
    this.#starts = starts(columns.lengths);
    this.#spanStarts = starts(columns.spanCounts);
  }

  get length(): number {
    return this.columns.lengths.length;
  }

  get lengths(): Int32Array {
    return this.columns.lengths;
  }

  at(index: number): Example {
    const { ids: all, lengths, turns: signedTurns, rowIds } = this.columns;
    const [length, start, turns] = [lengths[index], this.#starts[index], signedTurns[index]];
    if (length === undefined || start === undefined || turns === undefined)
      throw new RangeError(
        `[examples] expected an index below ${this.length}, got ${index}; it is a fault of the caller`,
      );
    const ids = all.subarray(start, start + length);
    const example = { turns: Math.abs(turns), length, rowId: rowIds[index] as number, truncated: turns < 0 };
    return { ids, ...this.#supervision(index, ids), ...example };
  }

  *[Symbol.iterator](): Generator<Example, undefined> {
    for (let index = 0; index < this.length; index += 1) yield this.at(index);
  }

  #supervision(index: number, ids: Int32Array): Pick<Example, "labels" | "weights"> {
    const { spans, spanCounts, spanWeights } = this.columns;
    const labels = new Int32Array(ids.length).fill(IGNORE_INDEX);
    const weights = spanWeights.length === 0 ? null : new Float32Array(ids.length);
    const first = this.#spanStarts[index] as number;
    for (let span = first; span < first + (spanCounts[index] as number); span += 1) {
      const [from, to] = [spans[2 * span] as number, spans[2 * span + 1] as number];
      labels.set(ids.subarray(from, to), from);
      weights?.fill(spanWeights[span] as number, from, to);
    }
    return weights === null ? { labels } : { labels, weights };
  }
}

function starts(counts: Int32Array): Float64Array {
  const sums = new Float64Array(counts.length);
  let sum = 0;
  for (let n = 0; n < counts.length; n += 1) {
    sums[n] = sum;
    sum += counts[n] as number;
  }
  return sums;
}

/** Columns that grow by an example at a time. */
export class ColumnBuilder {
  readonly #ids = new Growing(new Int32Array());
  readonly #lengths = new Growing(new Int32Array());
  readonly #spans = new Growing(new Int32Array());
  readonly #spanCounts = new Growing(new Int32Array());
  readonly #spanWeights = new Growing(new Float32Array());
  readonly #rowIds = new Growing(new Int32Array());
  readonly #turns = new Growing(new Int32Array());
  #weighted = false;

  /** Adds an example. Its labels are its ids, or ignored. */
  add({ ids, labels, weights, turns, rowId, truncated }: Example): void {
    this.#ids.append(ids);
    this.#lengths.push(ids.length);
    this.#spanCounts.push(this.#addSpans(labels, weights));
    this.#rowIds.push(rowId);
    this.#turns.push(truncated ? -turns : turns);
  }

  /** Ids that were added since the last call, to be kept elsewhere. */
  takeIds(): Int32Array[] {
    return this.#ids.take();
  }

  /** What has been added, taken out of here; of the ids, what has not been taken. */
  async finish(): Promise<ExampleColumns> {
    return {
      ids: await this.#ids.finish(),
      lengths: await this.#lengths.finish(),
      spans: await this.#spans.finish(),
      spanCounts: await this.#spanCounts.finish(),
      spanWeights: this.#weighted ? await this.#spanWeights.finish() : new Float32Array(),
      rowIds: await this.#rowIds.finish(),
      turns: await this.#turns.finish(),
    };
  }

  /** A span ends where labels end or the weight changes. */
  #addSpans(labels: Int32Array, weights: Float32Array | undefined): number {
    const before = this.#spanWeights.length;
    for (let from = 0; from < labels.length; ) {
      if (labels[from] === IGNORE_INDEX) {
        from += 1;
        continue;
      }
      const weight = weights?.[from] ?? 1;
      let to = from + 1;
      while (to < labels.length && labels[to] !== IGNORE_INDEX && (weights?.[to] ?? 1) === weight) to += 1;
      this.#spans.push(from);
      this.#spans.push(to);
      this.#spanWeights.push(weight);
      if (weight !== 1) this.#weighted = true;
      from = to;
    }
    return this.#spanWeights.length - before;
  }
}
