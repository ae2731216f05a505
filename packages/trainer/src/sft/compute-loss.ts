// A program's own objective: what it is given of a micro-batch, and what it gives back.
import { OptionError, type ParsedLoraConfig, type ParsedTrainingArguments } from "@tunesmith/core";

/** A row of a micro-batch and its supervised tokens: every column has one value per such token, in their order. */
export interface LossRow {
  /** Index of the row in the data set, from 0, counted before any row was left out: `rows[rowId]` of an array that was given. */
  readonly rowId: number;
  /** `source:line` of the row. */
  readonly place: string;
  /** Token ids of the row. */
  readonly ids: Int32Array;
  /** Where in `ids` the supervised tokens stand. */
  readonly positions: Int32Array;
  /** log p of each, in nats. */
  readonly logProbs: Float32Array;
  /** −Σ p · log p of the distribution that each was predicted with, in nats. */
  readonly entropies: Float32Array;
  /** Weight of each, as the rows and `promptLossWeight` give it; 1 where none is given. The function decides what becomes of it. */
  readonly weights: Float32Array;
}

/** A row with what the reference says of it. */
export interface ReferenceLossRow extends LossRow {
  /** log p by the model with its adapter switched off, in nats. */
  readonly referenceLogProbs: Float32Array;
}

/** The rows of a micro-batch. Packed rows are the rows that were packed. */
export interface LossBatch<Row extends LossRow = LossRow> {
  readonly rows: readonly Row[];
  /** Optimizer step, from 1; null in an evaluation, where no derivative is read. */
  readonly step: number | null;
  /** Micro-batch of the step, or batch of the evaluation, from 0. */
  readonly microBatch: number;
}

/** What a micro-batch comes to. Loss and derivatives are sums: what they are divided by is said, and summed over the step. */
export interface LossResult {
  /** Sum of the losses of the micro-batch. */
  loss: number;
  /**
   * How many losses were summed: tokens, rows, pairs. The loss of a step is Σ loss / Σ denominator over its micro-batches, and its gradient
   * is divided by the same, so that accumulation changes neither.
   */
  denominator: number;
  /** ∂loss / ∂logProb: for each row one value per supervised token. */
  logProbGradients: readonly ArrayLike<number>[];
  /** ∂loss / ∂entropy, in the same shape. Default: the loss does not depend on the entropies. */
  entropyGradients?: readonly ArrayLike<number>[];
}

/** The loss of a micro-batch and its derivatives. What it throws ends the run with a `CallbackError`, after a checkpoint. */
export type LossFunction<Row extends LossRow = LossRow> = (batch: LossBatch<Row>) => LossResult | Promise<LossResult>;

/** A program's own objective that needs log-probabilities by a reference: one forward more per pass. */
export interface ReferenceLoss {
  /** Rows come with log-probabilities by the model with its adapter switched off. */
  referenceLogProbs: true;
  compute: LossFunction<ReferenceLossRow>;
}

/** A program's own objective. */
export type ComputeLossFunc = LossFunction | ReferenceLoss;

/** A program's own objective, checked. */
export interface OwnLoss {
  /** Whether rows come with what the reference says. */
  referenceLogProbs: boolean;
  compute: LossFunction<ReferenceLossRow>;
  /** Seconds within which a promise of it must settle; null: it may take its time. */
  timeout: number | null;
}

/** Checks it; a reference that there is no adapter for is an `OptionError`. */
export function parseComputeLossFunc(
  given: ComputeLossFunc,
  { fullFinetuning }: ParsedLoraConfig,
  { hookTimeout: timeout }: Pick<ParsedTrainingArguments, "hookTimeout">,
): OwnLoss {
  if (typeof given === "function") return { referenceLogProbs: false, compute: given, timeout };
  const { referenceLogProbs, compute, ...others } = (given ?? {}) as ReferenceLoss;
  if (referenceLogProbs !== true || typeof compute !== "function" || Object.keys(others).length > 0)
    throw new OptionError(
      `[computeLossFunc] expected a function or { referenceLogProbs: true, compute: a function }, got ${shown(given)}; correct it`,
    );
  if (fullFinetuning)
    throw new OptionError(
      "[computeLossFunc.referenceLogProbs] expected an adapter, which is switched off for the reference, got fullFinetuning; train an adapter, or give the function what the reference says of each row",
    );
  return { referenceLogProbs, compute, timeout };
}

function shown(given: unknown): string {
  return typeof given === "object" && given !== null
    ? `an object with ${Object.keys(given).join(", ")}`
    : String(given);
}
