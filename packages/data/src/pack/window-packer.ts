// Packs examples that come one after another, within windows of as many as TRL packs together.
import type { Example } from "../examples/example.ts";
import { batchOfTrl, type PackingReport, type PackingStrategy, pack } from "./packing.ts";
import { cut } from "./training-rows.ts";

/** How rows are laid out. */
export interface WindowOptions {
  /** Tokens of a row. */
  seqLength: number;
  /** One that needs no more than 1,000 examples at once. */
  strategy: Exclude<PackingStrategy, "best_fit">;
}

/** Lays examples into rows, those that {@link pack} lays them into, of no more than 1,000 of them at once. */
export class WindowPacker {
  readonly #options: WindowOptions;
  #report: PackingReport;

  constructor(options: WindowOptions) {
    this.#options = options;
    const none = { rows: 0, keptTokens: 0, cutTokens: 0, splitExamples: 0, splitTokens: 0, fillRate: 0 };
    this.#report = { strategy: options.strategy, ...none };
  }

  /** What packing has done so far. */
  get report(): PackingReport {
    return this.#report;
  }

  /** The rows: the sequences of each. */
  async *rows<T extends Example>(examples: AsyncIterable<T>): AsyncGenerator<T[], undefined> {
    let window: T[] = [];
    for await (const example of examples) {
      window.push(example);
      if (window.length < batchOfTrl) continue;
      yield* this.#packed(window);
      window = [];
    }
    yield* this.#packed(window);
  }

  async *#packed<T extends Example>(window: readonly T[]): AsyncGenerator<T[], undefined> {
    const { seqLength, strategy } = this.#options;
    const lengths = window.map(({ length }) => length);
    const { packs, report } = await pack(lengths, seqLength, strategy);
    this.#report = sum(this.#report, report, seqLength);
    for (let row = 0; row < packs.length; row += 1)
      yield packs.at(row).map((piece) => cut(window[piece.example] as T, piece));
  }
}

function sum(a: PackingReport, b: PackingReport, seqLength: number): PackingReport {
  const rows = a.rows + b.rows;
  const keptTokens = a.keptTokens + b.keptTokens;
  return {
    strategy: a.strategy,
    rows,
    keptTokens,
    cutTokens: a.cutTokens + b.cutTokens,
    splitExamples: a.splitExamples + b.splitExamples,
    splitTokens: a.splitTokens + b.splitTokens,
    fillRate: rows === 0 ? 0 : keptTokens / (rows * seqLength),
  };
}
