// Evaluates a session on held-out examples.
import { type Generator, type Objective, OptionError, plural } from "@tunesmith/core";
import { coalesce, type Example, type TrainingRows } from "@tunesmith/data";
import { ratio, total } from "../loop/metrics.ts";
import type { MicroBatchOutcome } from "../loop/recipe.ts";
import { collateWith, type DataCollator } from "./collator.ts";
import type { OwnLoss } from "./compute-loss.ts";
import { type EvalMetrics, type PassSums, type SFTMetrics, sumsPerMicroBatch } from "./metrics.ts";
import { ownLossEvaluation } from "./own-loss.ts";

/** How a data set is evaluated. */
export interface EvaluateOptions {
  /** Rows whose mean is one term of the metrics. */
  batchSize: number;
  /** Leaves out a last batch with fewer rows. Default false. */
  dropLast?: boolean;
  /** Tokens of a pass. */
  tokenBudget: number;
  collator: DataCollator;
  /** What `evalLoss` is of. Default: the plain negative log-likelihood. */
  objective?: Objective;
  /** A program's own objective, in place of `objective`. Default: none. */
  own?: OwnLoss | null;
  /** `source:line` of a row, for the errors of a program's own objective. */
  locate?: (rowId: number) => string;
  /** Stops between two passes. */
  signal?: AbortSignal;
}

/** Loss, accuracy and entropy of the rows of a data set. Throws the signal's reason between two passes. */
export async function evaluate(
  session: Generator,
  all: Pick<TrainingRows, "length" | "at">,
  { batchSize, dropLast = false, ...options }: EvaluateOptions,
): Promise<EvalMetrics> {
  const length = dropLast ? all.length - (all.length % batchSize) : all.length;
  if (length === 0 && all.length > 0)
    throw new OptionError(
      `[dataloaderDropLast] expected at least one batch of ${plural(batchSize, "row")} to evaluate on, got ${plural(all.length, "row")}; lower perDeviceEvalBatchSize, or leave it out`,
    );
  const rows = { length, at: (row: number) => all.at(row) };
  const batches: Example[][] = [];
  for (let start = 0; start < rows.length; start += batchSize) batches.push(batchFrom(rows, start, batchSize));
  const sums = await sumsOf(session, batches, options);
  const rowsOf = (batch: number) => Math.min(batchSize, rows.length - batch * batchSize);
  const mean = (name: "loss" | "meanTokenAccuracy" | "entropy") => (batch: (typeof sums)[number]) =>
    ratio(batch.metrics[name].sum, batch.metrics[name].weight);
  return {
    evalLoss: total([...sums.entries()], ([n, batch]) => mean("loss")(batch) * rowsOf(n)) / rows.length,
    evalMeanTokenAccuracy: total(sums, mean("meanTokenAccuracy")) / sums.length,
    evalEntropy: total(sums, mean("entropy")) / sums.length,
  };
}

/** Sums of each batch. */
async function sumsOf(
  session: Generator,
  batches: Example[][],
  options: Omit<EvaluateOptions, "batchSize" | "dropLast">,
): Promise<readonly MicroBatchOutcome<SFTMetrics>[]> {
  const { tokenBudget, collator, objective, own = null, locate = (row) => `row ${row}`, signal } = options;
  if (own !== null)
    return ownLossEvaluation(session, own, { microBatches: batches, tokenBudget, collator }, { locate, signal });
  const passes: PassSums[] = [];
  for (const placed of coalesce(batches, tokenBudget)) {
    signal?.throwIfAborted();
    passes.push({ placed, sums: await session.evaluate(collateWith(collator, placed), objective) });
  }
  return sumsPerMicroBatch(passes);
}

function batchFrom(rows: Pick<TrainingRows, "length" | "at">, start: number, size: number): Example[] {
  const count = Math.min(size, rows.length - start);
  return Array.from({ length: count }, (_, n) => rows.at(start + n)).flat();
}
