// The examples of a data set that is prepared while it is trained on.
import { slices, type Tokenizer } from "@tunesmith/core";
import type { Example } from "../examples/example.ts";
import type { DataReport } from "../quality/report.ts";
import { RowErrors } from "../sources/row-errors.ts";
import type { DatasetSource } from "../sources/rows.ts";
import type { PrepareOptions } from "./prepare-options.ts";
import { readAhead } from "./read-ahead.ts";
import { type IntakeLimits, RowIntake } from "./row-intake.ts";
import { RowSource } from "./row-source.ts";

/** An example that knows where its row is. */
export interface StreamedExample extends Example {
  /** `source:line` of its row. */
  place: string;
}

/** Batches of rows that are encoded while the examples of another are used. */
const batchesAhead = 2;

/** A stream may have no end, and what is remembered of its rows must have one. */
const limits: IntakeLimits = { dropped: 1000, distinct: 1 << 20 };

/** What is counted in one pass. */
interface Pass {
  rows: RowSource;
  intake: RowIntake;
  errors: RowErrors;
}

/**
 * A data set of which no more is in memory than is used: each pass reads, checks, tokenises, labels and truncates its rows again, a few
 * batches ahead of where it is asked for.
 */
export class ExampleStream {
  readonly #source: DatasetSource;
  readonly #tokenizer: Tokenizer;
  readonly #options: PrepareOptions;
  #pass: Pass;
  #whole: DataReport | null = null;

  constructor(source: DatasetSource, tokenizer: Tokenizer, options: PrepareOptions) {
    this.#source = source;
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#pass = this.#begin();
  }

  /** What happened to the rows: those of a whole pass once there was one, else those that have been taken from the newest so far. */
  get report(): DataReport {
    return this.#whole ?? this.#reported;
  }

  /**
   * The examples of one pass, in the order of their rows. Bad rows throw a `DataError` that names them when they are met, unless they are
   * skipped; so does a source without rows, of which nothing can be trained, or that cannot be read another time.
   */
  async *pass(): AsyncGenerator<StreamedExample, undefined> {
    const { rows, intake, errors } = this.#begin();
    this.#pass = { rows, intake, errors };
    let rowId = 0;
    for await (const batch of readAhead(rows.batches(), batchesAhead)) {
      this.#options.onProgress?.({ rows: intake.rows, share: null });
      errors.include(batch.errors);
      if (errors.areFatal) errors.throwIfAny();
      for (const encoded of batch.rows) {
        const taken = intake.take(encoded, rowId);
        rowId += 1;
        if (errors.areFatal) errors.throwIfAny();
        const { source, line } = encoded.row;
        // A copy: who keeps one row, as a buffer to shuffle in does, would else keep all of its batch.
        for (const example of taken?.examples ?? [])
          yield { ...example, ids: example.ids.slice(), place: `${source}:${line}` };
        if (slices.isOver) await slices.turn();
      }
    }
    if (intake.rows === 0) errors.throwIfAny();
    rows.refuseEmpty();
    intake.refuseNothingToTrain(rows.name);
    this.#whole ??= this.#reported;
  }

  #begin(): Pass {
    const errors = new RowErrors(this.#options.onBadRow);
    const intake = new RowIntake(this.#tokenizer, this.#options, errors, limits);
    return { rows: new RowSource(this.#source, this.#tokenizer, this.#options), intake, errors };
  }

  get #reported(): DataReport {
    const { rows, intake, errors } = this.#pass;
    return { ...rows.report(intake, errors), streamed: true };
  }
}
