// Log-probabilities by a reference that are computed once, before the first step, and kept for later runs.
import { type Generator, slices, type Tokenizer } from "@tunesmith/core";
import { coalesce, collate, type Example, keptScores, type TrainingRows } from "@tunesmith/data";
import { columnsOf, type ReferenceModel } from "./reference.ts";
import { type Pass, supervisedPlaces } from "./sequence-values.ts";

/** How they are computed. */
export interface PrecomputeRequest {
  /** Opens the reference: called where a data set is not known from an earlier run, and once. */
  open(): Promise<Generator>;
  /** Tokens of a pass. */
  tokenBudget: number;
  /** Where they are kept; null: nowhere. */
  cacheFolder: string | null;
  /** All that decides them besides the rows, as JSON values. */
  key: unknown;
  tokenizer: Pick<Tokenizer, "mapFile">;
  /** Stops between two passes. */
  signal: AbortSignal;
}

/** A data set whose log-probabilities are computed. */
export interface PrecomputedRows {
  rows: TrainingRows;
  /** Equal ones mean equal rows. */
  fingerprint: string;
  /** Rows that are asked together. */
  batchSize: number;
  /** Told how many rows are known. */
  onRows(rows: number, fromCache: boolean): void;
}

/** What a data set's log-probabilities came from. */
export interface Precomputed {
  fromCache: boolean;
  /** A file of the cache that could not be used; null where there was none. */
  unusable: string | null;
}

/** The values of a data set end to end, and where those of each row begin. */
interface Known {
  values: Float32Array;
  starts: Float64Array;
}

/** A reference whose answers are known: it holds one number per supervised token, and no weight. */
export class PrecomputedReference implements ReferenceModel {
  readonly #sets = new Map<TrainingRows, Known>();
  readonly #columns = new WeakMap<Example, Float32Array>();

  /** Computes the log-probabilities of some data sets, or takes them from an earlier run. The reference is freed in any case. */
  async compute(sets: readonly PrecomputedRows[], request: PrecomputeRequest): Promise<Precomputed[]> {
    const { open, tokenBudget, cacheFolder: folder, key, tokenizer, signal } = request;
    let opened: Generator | null = null;
    const found: Precomputed[] = [];
    try {
      for (const { rows, fingerprint, batchSize, onRows } of sets) {
        const starts = await startsOf(rows);
        const count = starts.at(-1) as number;
        const wanted = { folder, key: ["reference", key, fingerprint, tokenBudget, batchSize], count, tokenizer };
        const { scores, ...from } = await keptScores(wanted, async () => {
          opened ??= await open();
          return computed(opened, rows, { count, batchSize, tokenBudget, signal, onRows });
        });
        onRows(rows.length, from.fromCache);
        this.#sets.set(rows, { values: scores, starts });
        found.push(from);
      }
      return found;
    } finally {
      (opened as Generator | null)?.dispose();
    }
  }

  /** The sequences of a row, whose log-probabilities are known from here on as long as they are held. */
  sequences(rows: TrainingRows, row: number): Example[] {
    const sequences = rows.at(row);
    const known = this.#sets.get(rows);
    let at = known?.starts[row] ?? 0;
    for (const example of sequences) {
      const end = at + placesOf(example).length;
      if (known !== undefined) this.#columns.set(example, known.values.subarray(at, end));
      at = end;
    }
    return sequences;
  }

  async logProbs(_: unknown, passes: readonly Pass[]): Promise<Float32Array[]> {
    return passes.map(({ placed, batch }) => {
      const column = new Float32Array(batch.labels.length);
      for (const [n, { example }] of placed.entries()) {
        const values = this.#columns.get(example);
        if (values === undefined)
          throw new Error(`[reference] expected a sequence of precomputed rows, got row ${example.rowId}`);
        for (const [index, t] of supervisedPlaces(batch, n).entries()) column[t] = values[index] as number;
      }
      return column;
    });
  }
}

/** Places of a sequence's supervised tokens, in itself. */
function placesOf({ labels, length }: Example): Int32Array {
  return supervisedPlaces({ labels, sequenceStarts: Int32Array.of(0, length) }, 0);
}

/** Where the values of each row begin, and where the last ones end. */
async function startsOf(rows: TrainingRows): Promise<Float64Array> {
  const starts = new Float64Array(rows.length + 1);
  for (let row = 0; row < rows.length; row += 1) {
    const count = rows.at(row).reduce((sum, example) => sum + placesOf(example).length, 0);
    starts[row + 1] = (starts[row] as number) + count;
    if (slices.isOver) await slices.turn();
  }
  return starts;
}

/** Asks the reference of all rows. */
async function computed(
  reference: Generator,
  rows: TrainingRows,
  {
    count,
    batchSize,
    tokenBudget,
    signal,
    onRows,
  }: Pick<PrecomputeRequest, "tokenBudget" | "signal"> &
    Pick<PrecomputedRows, "batchSize" | "onRows"> & { count: number },
): Promise<Float32Array> {
  const values = new Float32Array(count);
  let end = 0;
  for (let first = 0; first < rows.length; first += batchSize) {
    const size = Math.min(batchSize, rows.length - first);
    const examples = Array.from({ length: size }, (_, n) => rows.at(first + n)).flat();
    for (const placed of coalesce([examples], tokenBudget)) {
      signal.throwIfAborted();
      const batch = collate(placed);
      const [column] = await columnsOf(reference, [{ placed, batch }]);
      for (const n of placed.keys())
        for (const t of supervisedPlaces(batch, n)) {
          values[end] = (column as Float32Array)[t] as number;
          end += 1;
        }
    }
    if (first + size < rows.length) onRows(first + size, false);
  }
  return values;
}
