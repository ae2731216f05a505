// One data set as two that share no row: one to train on, one to evaluate with.
import { createHash } from "node:crypto";
import { DataError, OptionError, plural, slices, writeExact } from "@tunesmith/core";
import { collect } from "./collect.ts";
import { Groups } from "./groups.ts";
import { canBeginAgain } from "./mix.ts";
import { randomStream } from "./random.ts";
import type { Row } from "./row.ts";
import { RowErrors } from "./row-errors.ts";
import {
  type DatasetSource,
  DerivedDataset,
  isDatasetSource,
  nameOf,
  type ReadOptions,
  type RowReader,
} from "./source.ts";

/** How the rows of a split are chosen: by chance, exactly as many as asked for; or each by its content, which more rows do not change. */
export const splitStrategies = ["random", "hash"] as const;

/** How the rows of a split are chosen. */
export type SplitStrategy = (typeof splitStrategies)[number];

/** How a data set is split. */
export interface SplitOptions {
  /** Share of the rows that are held out, below 1, or how many. */
  testSize: number;
  /** Which rows these are follows from it. Default 42. */
  seed?: number | undefined;
  /** Column whose equal values stay together, so that no user, document or group is on both sides. Default null: none. */
  splitBy?: string | null | undefined;
  /** Default `random` (datasets' train_test_split). */
  splitStrategy?: SplitStrategy | undefined;
}

/** The two sides of a split. */
export interface SplitDatasets {
  train: DatasetSplit;
  test: DatasetSplit;
}

type Side = keyof SplitDatasets;

/**
 * Splits a data set in two (datasets' train_test_split). By `hash` a row's side follows from its content alone: it stays where it is when
 * rows are added, and equal rows are never on both sides; about as many rows as asked for are held out. A side without rows is a
 * `DataError` when it is read. Rows of an iterable, which can be read once only, are kept in memory.
 */
export function splitDataset(dataset: DatasetSource, options: SplitOptions): SplitDatasets {
  const { testSize, seed = 42, splitBy = null, splitStrategy = "random" } = options;
  const refuse = (expected: string, got: unknown) =>
    new OptionError(`[splitDataset] expected ${expected}, got ${String(got)}; correct it`);
  if (!isDatasetSource(dataset)) throw refuse("a data set", dataset);
  const isShare = testSize > 0 && testSize < 1;
  if (!isShare && !(Number.isSafeInteger(testSize) && testSize > 0))
    throw refuse("a share below 1 or a whole number of rows as testSize", testSize);
  if (!isShare && splitStrategy === "hash")
    throw refuse('a share below 1 as testSize with splitStrategy "hash"', testSize);
  if (!Number.isSafeInteger(seed)) throw refuse("a whole number as seed", seed);
  if (splitBy !== null && (typeof splitBy !== "string" || splitBy === "")) throw refuse("a column as splitBy", splitBy);
  if (!splitStrategies.includes(splitStrategy))
    throw refuse(`one of ${splitStrategies.join(", ")} as splitStrategy`, splitStrategy);
  const split = new Split(dataset, { testSize, seed, splitBy, splitStrategy });
  return { train: new DatasetSplit(split, "train"), test: new DatasetSplit(split, "test") };
}

/** One side of a split; {@link splitDataset} makes both. */
export class DatasetSplit extends DerivedDataset {
  readonly #split: Split;
  readonly #side: Side;
  readonly origin = null;

  constructor(split: Split, side: Side) {
    super();
    this.#split = split;
    this.#side = side;
  }

  /** How its rows are chosen. */
  get strategy(): SplitStrategy {
    return this.#split.strategy;
  }

  get name(): string {
    return `${nameOf(this.#split.dataset, "rows")} (${this.#side})`;
  }

  /** @internal */
  async *rows(read: RowReader, options: ReadOptions, errors: RowErrors): AsyncGenerator<Row> {
    const isTest = await this.#split.membership(read, options);
    let all = 0;
    let own = 0;
    for await (const row of this.#split.all(read, options, errors)) {
      const held = this.#split.isUsable(row, errors) && isTest(row, all);
      all += 1;
      if (held !== (this.#side === "test")) continue;
      own += 1;
      yield row;
    }
    if (own === 0 && all > 0) throw this.#split.emptySide(this.#side, all);
  }
}

type Chosen = Required<{ [Key in keyof SplitOptions]: Exclude<SplitOptions[Key], undefined> }>;

type Membership = (row: Row, index: number) => boolean;

/** What both sides share. */
class Split {
  readonly dataset: DatasetSource;
  readonly #options: Chosen;
  #membership: Promise<Membership> | null = null;
  #collected: Promise<Row[]> | null = null;

  constructor(dataset: DatasetSource, options: Chosen) {
    this.dataset = dataset;
    this.#options = options;
  }

  get strategy(): SplitStrategy {
    return this.#options.splitStrategy;
  }

  /** All rows; of an iterable as they were when it was read, which notes what is wrong with its rows once. */
  async *all(read: RowReader, options: ReadOptions, errors: RowErrors): AsyncGenerator<Row> {
    if (canBeginAgain(this.dataset)) return yield* read(this.dataset, options, errors);
    this.#collected ??= collect(read(this.dataset, options, errors));
    for (const row of await this.#collected) {
      yield row;
      if (slices.isOver) await slices.turn();
    }
  }

  /** Which rows are held out. */
  membership(read: RowReader, options: ReadOptions): Promise<Membership> {
    const made =
      this.#options.splitStrategy === "hash" ? async () => this.#byHash() : () => this.#byChance(read, options);
    this.#membership ??= made().catch((error: unknown) => {
      // A reading that was stopped may be begun again.
      this.#membership = null;
      throw error;
    });
    return this.#membership;
  }

  /** Whether a row says which group it is of. */
  isUsable(row: Row, errors: RowErrors): boolean {
    const { splitBy } = this.#options;
    if (splitBy === null || (row.fields[splitBy] ?? null) !== null) return true;
    errors.add(row.source, row.line, `expected the column "${splitBy}" (splitBy), got nothing; add it to the row`);
    return false;
  }

  emptySide(side: Side, rows: number): DataError {
    const { testSize, splitBy } = this.#options;
    const what = splitBy === null ? plural(rows, "row") : `${plural(rows, "row")} in groups by "${splitBy}"`;
    return new DataError(
      `[data] ${nameOf(this.dataset, "rows")}: expected rows on both sides, got none to ${side === "test" ? "evaluate with" : "train on"} of ${what} with testSize ${testSize}; change testSize, or give an evaluation set`,
    );
  }

  #byHash(): Membership {
    const { testSize, seed } = this.#options;
    return (row) => {
      const digest = createHash("sha256")
        .update(`${seed}:${this.#keyOf(row)}`)
        .digest();
      return digest.readUIntBE(0, 6) / 2 ** 48 < testSize;
    };
  }

  /** Reads all rows once, to know how many there are and of which groups. */
  async #byChance(read: RowReader, options: ReadOptions): Promise<Membership> {
    const { testSize, seed, splitBy } = this.#options;
    // What is wrong with rows is told by the side that reads them.
    const silent = new RowErrors();
    const groups = new Groups();
    let rows = 0;
    for await (const row of this.all(read, { ...options, onIgnoredFile: undefined }, silent)) {
      if (splitBy !== null && this.isUsable(row, silent)) groups.add(this.#keyOf(row));
      rows += 1;
    }
    // No row has the column: each is refused for that when it is read.
    if (splitBy !== null && groups.count === 0) return () => false;
    const wanted = testSize < 1 ? Math.ceil(testSize * rows) : testSize;
    // Without groups each row is one.
    const order = await shuffled(splitBy === null ? rows : groups.count, seed);
    const isChosen = new Uint8Array(order.length);
    let [count, chosen] = [0, 0];
    for (; count < wanted && chosen < order.length; chosen += 1) {
      const group = order[chosen] as number;
      isChosen[group] = 1;
      count += splitBy === null ? 1 : groups.sizeOf(group);
    }
    if (rows > 0 && chosen === order.length) throw this.emptySide("train", rows);
    const groupOf = splitBy === null ? (_: Row, index: number) => index : (row: Row) => groups.find(this.#keyOf(row));
    return (row, index) => isChosen[groupOf(row, index)] === 1;
  }

  /** What is equal for rows that stay together. */
  #keyOf({ fields, source, line }: Row): string {
    const { splitBy } = this.#options;
    try {
      return writeExact(splitBy === null ? fields : (fields[splitBy] ?? null));
    } catch {
      // What no JSON can hold is refused later.
      return `${source}:${line}`;
    }
  }
}

/** 0 … n − 1 in an order that follows from the seed: Fisher and Yates. */
async function shuffled(n: number, seed: number): Promise<Int32Array> {
  const order = new Int32Array(n);
  for (let index = 0; index < n; index += 1) order[index] = index;
  const random = randomStream(seed);
  await slices.each(n - 1, (from, to) => {
    for (let last = n - 1 - from; last > n - 1 - to; last -= 1) {
      const other = Math.floor(random() * (last + 1));
      const taken = order[other] as number;
      order[other] = order[last] as number;
      order[last] = taken;
    }
  });
  return order;
}
