// The best rows of a data set, by a score: value quality over quantity.
import { OptionError, parseOptions, type SFTConfig, sftConfigSchema, slices, sortInSlices } from "@tunesmith/core";
import { RowError } from "../formats/format.ts";
import { ItemReader } from "../formats/item-reader.ts";
import { collect } from "../sources/collect.ts";
import { canBeginAgain } from "../sources/mix.ts";
import { RowErrors } from "../sources/row-errors.ts";
import type { Row } from "../sources/rows.ts";
import {
  type DatasetSource,
  DerivedDataset,
  isDatasetSource,
  nameOf,
  type ReadOptions,
  type RowObject,
  type RowReader,
} from "../sources/source.ts";
import { turnsOfItem } from "./audit-row.ts";

/** Scores a row; higher is better. Not a number: the row is left out. Null: it cannot be read, and is passed on. */
export type RowScore = (row: RowObject) => number | null | Promise<number | null>;

/** What scores rows and holds something while it does, such as a model. */
export interface RowScorer {
  open(): Promise<{ score: RowScore; close(): Promise<void> }>;
}

/** Which rows are selected. */
export interface SelectOptions {
  /** `length`: characters of the answers, since long ones teach more (Zhao et al. 2024); or a function, or what opens one. */
  by: "length" | RowScore | RowScorer;
  /** Share of the rows that is kept, below 1, or how many. */
  keep: number;
  /** Options of a run, which say how the rows are read that `length` measures. Default: by their columns. */
  args?: SFTConfig;
}

/**
 * The rows of a data set with the highest scores, in the order of the set; of equal ones the earlier. Rows are read twice, those of an
 * iterable kept in memory. A row that cannot be read is passed on, so that training names it.
 */
export function selectRows(dataset: DatasetSource, options: SelectOptions): SelectedRows {
  const { by, keep } = options;
  const refuse = (expected: string, got: unknown) =>
    new OptionError(`[selectRows] expected ${expected}, got ${String(got)}; correct it`);
  if (!isDatasetSource(dataset)) throw refuse("a data set", dataset);
  const isKnown = by === "length" || typeof by === "function" || typeof (by as RowScorer | null)?.open === "function";
  if (!isKnown) throw refuse('"length" or a function as by', by);
  const isCount = Number.isSafeInteger(keep) && keep > 0;
  if (!isCount && !(keep > 0 && keep < 1)) throw refuse("a share below 1 or a whole number of rows as keep", keep);
  return new SelectedRows(dataset, options);
}

/** What {@link selectRows} gives. */
export class SelectedRows extends DerivedDataset {
  readonly #dataset: DatasetSource;
  readonly #options: SelectOptions;
  #collected: Promise<Row[]> | null = null;
  /** Whether the row at a place is kept: scores are computed once. */
  #chosen: Promise<Uint8Array> | null = null;
  readonly origin = null;

  constructor(dataset: DatasetSource, options: SelectOptions) {
    super();
    this.#dataset = dataset;
    this.#options = options;
  }

  get name(): string {
    return `${nameOf(this.#dataset, "rows")} (selected)`;
  }

  /** @internal */
  async *rows(read: RowReader, options: ReadOptions, errors: RowErrors): AsyncGenerator<Row> {
    this.#chosen ??= this.#choose(read, options, errors).catch((error: unknown) => {
      // A reading that was stopped may be begun again.
      this.#chosen = null;
      throw error;
    });
    const chosen = await this.#chosen;
    let index = 0;
    for await (const row of this.#all(read, options, errors)) if (chosen[index++] === 1) yield row;
  }

  async #choose(read: RowReader, options: ReadOptions, errors: RowErrors): Promise<Uint8Array> {
    const { by, keep, args } = this.#options;
    const { score, close } = await opened(by, args);
    const scores: (number | null)[] = [];
    try {
      // What is wrong with rows is told when they are read for good; those of an iterable are read once.
      const silent = canBeginAgain(this.#dataset) ? new RowErrors("skip") : errors;
      for await (const row of this.#all(read, { ...options, onIgnoredFile: undefined }, silent))
        scores.push(await score(row));
    } finally {
      await close();
    }
    return best(scores, keep);
  }

  async *#all(read: RowReader, options: ReadOptions, errors: RowErrors): AsyncGenerator<Row> {
    if (canBeginAgain(this.#dataset)) return yield* read(this.#dataset, options, errors);
    this.#collected ??= collect(read(this.#dataset, options, errors));
    for (const row of await this.#collected) {
      yield row;
      if (slices.isOver) await slices.turn();
    }
  }
}

/** What scores a row as it is read, and what is done when all are scored. */
async function opened(by: SelectOptions["by"], args: SFTConfig | undefined) {
  if (by === "length") return { score: answerLength(args), close: async () => {} };
  const { score, close } = typeof by === "function" ? { score: by, close: async () => {} } : await by.open();
  return { score: ({ fields }: Row) => score(fields), close };
}

/** Of each place, 1 for the highest scores and for rows without one. */
async function best(scores: readonly (number | null)[], keep: number): Promise<Uint8Array> {
  const chosen = new Uint8Array(scores.length);
  const places = new Int32Array(scores.length);
  let scored = 0;
  await slices.each(scores.length, (from, to) => {
    for (let place = from; place < to; place += 1) {
      const score = scores[place] as number | null;
      if (score === null) chosen[place] = 1;
      else if (!Number.isNaN(score)) places[scored++] = place;
    }
  });
  const highest = places.subarray(0, scored);
  await sortInSlices(highest, (a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  const count = keep < 1 ? Math.max(1, Math.round(keep * scored)) : keep;
  for (const place of highest.subarray(0, count)) chosen[place] = 1;
  return chosen;
}

/** Characters of a row's answers; null for a row that cannot be read. */
function answerLength(args: SFTConfig = {}): (row: Row) => Promise<number | null> {
  const { datasetFormat, columns, datasetTextField } = parseOptions(sftConfigSchema, args);
  const reader = new ItemReader({
    ...{ datasetFormat, columns, datasetTextField, task: "supervised", hasChatTemplate: true },
  });
  return async (row) => {
    try {
      const turns = turnsOfItem(await reader.read(row));
      const answers = turns.filter(({ role }) => role === "assistant" || role === "text");
      return answers.reduce((sum, { text }) => sum + text.length, 0);
    } catch (cause) {
      if (cause instanceof RowError) return null;
      throw cause;
    }
  };
}
