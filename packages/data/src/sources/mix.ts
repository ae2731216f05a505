// Several data sets as one, each with its share of the rows.
import { OptionError } from "@tunesmith/core";
import { randomStream } from "./random.ts";
import type { Row } from "./row.ts";
import type { RowErrors } from "./row-errors.ts";
import {
  type DatasetEntry,
  type DatasetSource,
  DerivedDataset,
  isDatasetSource,
  NamedFiles,
  nameOf,
  pathsOf,
  type ReadOptions,
  type RowReader,
} from "./source.ts";

/** One data set of a mix. */
export interface MixEntry {
  dataset: DatasetSource;
  /** How many of the rows come from it, relative to the others. Default 1. */
  weight?: number;
}

/**
 * When a mix ends, as in datasets' interleave_datasets: with the first data set that has no more rows; when each has been read to its end
 * once, the shorter ones again and again; or likewise without reading any row twice.
 */
export const mixStops = ["first_exhausted", "all_exhausted", "all_exhausted_without_replacement"] as const;

/** When a mix ends. */
export type MixStop = (typeof mixStops)[number];

/** How data sets are mixed. */
export interface MixOptions {
  /** Of the order in which the data sets take turns. Default 42. */
  seed?: number;
  /** Default `first_exhausted` (datasets). */
  stopping?: MixStop;
}

/**
 * Data sets as one: each next row comes from one of them, drawn by weight from a seed, so that the shares hold from the first rows on.
 * Every data set has a format of its own, so that raw text may stand beside conversations. A mix without data sets, or with a weight that
 * is not above 0, is an `OptionError`.
 */
export function mixDatasets(entries: readonly MixEntry[], options: MixOptions = {}): DatasetMix {
  const { seed = 42, stopping = "first_exhausted" } = options;
  const refuse = (expected: string, got: unknown) =>
    new OptionError(
      `[mixDatasets] expected ${expected}, got ${typeof got === "object" ? typeof got : String(got)}; correct it`,
    );
  if (!Array.isArray(entries) || entries.length === 0) throw refuse("a list of { dataset, weight }", entries);
  for (const { dataset, weight = 1 } of entries as readonly MixEntry[]) {
    if (!isDatasetSource(dataset)) throw refuse("a data set in each entry", dataset);
    if (dataset instanceof DatasetMix)
      throw refuse("data sets that are no mixes themselves", "one; give its data sets");
    if (!(weight > 0 && Number.isFinite(weight))) throw refuse("weights above 0", weight);
    if (stopping === "all_exhausted" && !canBeginAgain(dataset))
      throw refuse(
        'files or arrays, which can be read again, with stopping "all_exhausted"',
        "an iterable; collect its rows in an array",
      );
  }
  if (!Number.isSafeInteger(seed)) throw refuse("a whole number as seed", seed);
  if (!mixStops.includes(stopping)) throw refuse(`one of ${mixStops.join(", ")} as stopping`, stopping);
  return new DatasetMix(entries, seed, stopping);
}

/** Whether a data set can be read more than once: files, arrays and functions can, iterables may not. */
export function canBeginAgain(dataset: DatasetSource): boolean {
  if (dataset instanceof DatasetMix) return dataset.entries.every((entry) => canBeginAgain(entry.dataset));
  return typeof dataset === "function" || !isStream(dataset);
}

/** Whether the rows of a data set come one after another, how many is not known: those of iterables, streams and functions. */
export function isStream(dataset: DatasetSource): boolean {
  if (dataset instanceof DatasetMix) return dataset.entries.some((entry) => isStream(entry.dataset));
  if (dataset instanceof DerivedDataset) return false;
  return !Array.isArray(dataset) && pathsOf(dataset) === null;
}

/** A mix of data sets; {@link mixDatasets} makes one. */
export class DatasetMix extends DerivedDataset {
  readonly name: string;
  readonly entries: readonly Required<MixEntry>[];
  readonly #seed: number;
  readonly #stopping: MixStop;

  constructor(entries: readonly MixEntry[], seed: number, stopping: MixStop) {
    super();
    this.entries = entries.map(({ dataset, weight = 1 }) => ({ dataset, weight }));
    this.#seed = seed;
    this.#stopping = stopping;
    this.name = `mix of ${this.entries.map(({ dataset }, n) => nameOf(dataset, `entry ${n + 1}`)).join(", ")}`;
  }

  /** Only what the entries of a configuration file can say: paths and weights, with the defaults of the rest. */
  get origin(): DatasetEntry[] | null {
    const origins = this.entries.map(({ dataset, weight }) => {
      const [entry, ...others] = originOf(dataset) ?? [];
      return entry === undefined || others.length > 0 ? null : { ...entry, weight };
    });
    const isPlain = this.#seed === 42 && this.#stopping === "first_exhausted";
    return isPlain && origins.every((entry) => entry !== null) ? origins : null;
  }

  /** @internal */
  async *rows(read: RowReader, options: ReadOptions, errors: RowErrors): AsyncGenerator<Row> {
    const parts = this.entries.map(({ dataset, weight }, part) => {
      const named = { ...options, name: `${options.name}[${part}]` };
      return { part, weight, reader: new Ahead(() => read(dataset, named, errors)) };
    });
    try {
      const unfinished = yield* this.#interleaved(parts);
      for (const { part, reader } of unfinished) if (await reader.hasNext()) options.onPartLeft?.(part);
    } finally {
      for (const { reader } of parts) await reader.close();
    }
  }

  /** Returns the data sets that were not read to their end. */
  async *#interleaved(all: readonly Part[]): AsyncGenerator<Row, Iterable<Part>> {
    const random = randomStream(this.#seed);
    const waiting = new Set(all);
    const reading = new Set(all);
    while (reading.size > 0 && waiting.size > 0) {
      const drawn = draw([...reading], random());
      const row = await drawn.reader.next();
      if (row !== null) yield { ...row, part: drawn.part, repeated: !waiting.has(drawn) };
      if (await drawn.reader.hasNext()) continue;
      waiting.delete(drawn);
      if (this.#stopping === "first_exhausted") break;
      // One without any row would begin again for ever.
      if (this.#stopping === "all_exhausted" && row !== null) await drawn.reader.restart();
      else reading.delete(drawn);
    }
    return waiting;
  }
}

/** How a configuration file names a data set; null for one that it cannot name. */
export function originOf(dataset: DatasetSource): readonly DatasetEntry[] | null {
  if (dataset instanceof DerivedDataset) return dataset.origin;
  if (dataset instanceof NamedFiles && dataset.origin !== null) return [dataset.origin];
  return pathsOf(dataset)?.map((path) => ({ path })) ?? null;
}

interface Part {
  part: number;
  weight: number;
  reader: Ahead;
}

function draw(parts: readonly Part[], random: number): Part {
  let left = random * parts.reduce((sum, { weight }) => sum + weight, 0);
  const found = parts.find(({ weight }) => {
    left -= weight;
    return left < 0;
  });
  return found ?? (parts.at(-1) as Part);
}

/** Reads a data set one row ahead, to know whether it has another one. */
class Ahead {
  readonly #begin: () => AsyncGenerator<Row>;
  #rows: AsyncGenerator<Row>;
  #next: IteratorResult<Row> | null = null;

  constructor(begin: () => AsyncGenerator<Row>) {
    this.#begin = begin;
    this.#rows = begin();
  }

  async hasNext(): Promise<boolean> {
    this.#next ??= await this.#rows.next();
    return this.#next.done !== true;
  }

  async next(): Promise<Row | null> {
    if (!(await this.hasNext())) return null;
    const row = this.#next?.value as Row;
    this.#next = null;
    return row;
  }

  async restart(): Promise<void> {
    this.#next = null;
    this.#rows = this.#begin();
  }

  async close(): Promise<void> {
    await this.#rows.return(undefined);
  }
}
