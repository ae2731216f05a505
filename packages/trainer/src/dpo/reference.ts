// The reference of a preference optimization: the adapter switched off, a frozen copy, or numbers that were computed before the first step.
import { type ParsedDPOConfig, plural } from "@tunesmith/core";
import { type Example, type PreparedData, type TrainingRows, tokenCacheFolder } from "@tunesmith/data";
import { digestModel, packageVersion } from "../loop/environment.ts";
import type { BeforeSession, HeldOutRow, PreparedRun, RecipeInputs } from "../loop/recipe.ts";
import { PrecomputedReference } from "../two-phase/precomputed.ts";
import { type ReferenceModel, referenceFor } from "../two-phase/reference.ts";

/** A data set of pairs, laid out. */
export interface Pairs {
  /** Of several evaluation sets its name; null of any other set. */
  name: string | null;
  data: PreparedData;
  rows: TrainingRows;
  /** The first rows, as they were and as they were read. */
  kept: readonly HeldOutRow[];
}

type Inputs = RecipeInputs<ParsedDPOConfig>;

/** A reference, and what a run owes to it. */
interface RunReference extends Pick<PreparedRun, "beforeSession" | "close" | "frozenCopy"> {
  reference: ReferenceModel;
  /** The sequences of a row, as the reference is asked of them. */
  sequences(pairs: Pairs, row: number): Example[];
}

/** @param sets that of the training rows, then those of evaluations */
export function referenceOf(inputs: Inputs, sets: readonly Pairs[]): RunReference {
  const { args, model, peft } = inputs;
  const sequences = ({ rows }: Pairs, row: number) => rows.at(row);
  if (args.precomputeRefLogProbs) {
    const reference = new PrecomputedReference();
    return {
      reference,
      sequences: ({ rows }, row) => reference.sequences(rows, row),
      beforeSession: (context) => precompute(reference, inputs, sets, context),
    };
  }
  const { reference, frozenCopy } = referenceFor(model, peft);
  return { reference, sequences, ...(frozenCopy && { frozenCopy, close: () => frozenCopy.close() }) };
}

/** Asks the reference of all rows, or an earlier run. It is freed before the weights that are trained are read. */
async function precompute(
  reference: PrecomputedReference,
  { args, model, onPreparing, peft: { adapterPath: adapter }, tokenizer }: Inputs,
  sets: readonly Pairs[],
  { device, isResumed, modelSha256, signal }: BeforeSession,
): Promise<string[]> {
  const { loadFromCacheFile, perDeviceEvalBatchSize, perDeviceTrainBatchSize, precomputeRefBatchSize } = args;
  const adapterSha256 = adapter === null ? null : await digestModel(adapter);
  const isKnown = modelSha256 !== null && (adapter === null || adapterSha256 !== null);
  const asked = sets.map(({ rows, data: { fingerprint } }, n) => {
    const dataset = n === 0 ? ("train" as const) : ("eval" as const);
    return {
      ...{ rows, fingerprint },
      batchSize: precomputeRefBatchSize ?? (n === 0 ? perDeviceTrainBatchSize : perDeviceEvalBatchSize),
      onRows: (known: number, fromCache: boolean) =>
        onPreparing(dataset, { rows: known, share: known / Math.max(1, rows.length), reference: { fromCache } }),
    };
  });
  const found = await reference.compute(asked, {
    ...{ tokenBudget: args.tokenBudget, tokenizer, signal },
    open: () => model.createGenerator({ adapter: adapter === null ? null : { type: "saved", path: adapter } }),
    cacheFolder: loadFromCacheFile && isKnown ? tokenCacheFolder() : null,
    key: [await packageVersion(), modelSha256, model.weightOptions, adapterSha256, device],
  });
  const again = found.flatMap(({ fromCache }, n) => (fromCache ? [] : [sets[n]?.rows.length ?? 0]));
  return [
    ...found.flatMap(({ unusable }) =>
      unusable === null
        ? []
        : [`${unusable}: not the reference log-probabilities that it should hold, so they were computed again`],
    ),
    ...(isResumed && again.length > 0
      ? [
          `reference log-probabilities of ${plural(
            again.reduce((a, b) => a + b, 0),
            "row",
          )} were computed again, since none are kept of this model and these rows`,
        ]
      : []),
  ];
}
