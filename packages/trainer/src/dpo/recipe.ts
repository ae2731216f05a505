// Preference optimization as a recipe of the loop.
import { createHash } from "node:crypto";
import { dpoConfigSchema, type ParsedDPOConfig } from "@tunesmith/core";
import type { SamplerFactory } from "@tunesmith/curriculum";
import { type FormattingFunc, type PrepareProgress, pairRows, prepare, tokenCacheFolder } from "@tunesmith/data";
import { preferenceRules } from "../health/preferences.ts";
import { epochBatches } from "../loop/epoch-batches.ts";
import { ratio, total } from "../loop/metrics.ts";
import type { EvaluationContext, PreparedRun, Recipe, RecipeInputs } from "../loop/recipe.ts";
import { largestEvaluationPass, largestPass } from "../memory/largest-pass.ts";
import { evalSetsOf } from "../options/eval-sets.ts";
import { dataWarnings } from "../sft/data-warnings.ts";
import { withinContext } from "../sft/prepare.ts";
import { lossSettings } from "./loss-settings.ts";
import { type DPOMetrics, dpoMetrics } from "./metrics.ts";
import { type PairsInput, pairsEvaluation, pairsStep } from "./pairs-step.ts";
import { type Pairs, referenceOf } from "./reference.ts";

/** What only a program can give. */
export interface DPOFunctions {
  /** Makes of each row what a format reads; null: rows are read as they are. */
  formattingFunc: FormattingFunc | null;
  /** Makes the order of the rows; null: `trainSamplingStrategy` says it. */
  sampler: SamplerFactory | null;
}

type Inputs = RecipeInputs<ParsedDPOConfig>;

/** Bytes of rows from which a file is prepared once for all runs. */
const leastCached = 4 << 20;

/** Preference optimization: of two answers the chosen one becomes likelier, next to a reference. */
export function dpoRecipe(functions: DPOFunctions): Recipe<ParsedDPOConfig, DPOMetrics> {
  return {
    trainer: "dpo",
    metrics: dpoMetrics,
    schema: dpoConfigSchema,
    healthRules: preferenceRules,
    prepare: (inputs, signal) => prepareDPO(inputs, functions, signal),
  };
}

async function prepareDPO(
  inputs: Inputs,
  { formattingFunc, sampler }: DPOFunctions,
  signal: AbortSignal,
): Promise<PreparedRun<ParsedDPOConfig, DPOMetrics>> {
  const warnings: string[] = [];
  const args = withinContext(inputs.args, inputs.model, warnings);
  const read = reader({ ...inputs, args }, formattingFunc, signal);
  const train = await read("train", inputs.trainDataset, null);
  const held: Pairs[] = [];
  for (const { name, source } of evalSetsOf(inputs.evalDataset)) held.push(await read("eval", source, name));
  const { batches, warnings: ofOrder } = await epochBatches(args, train.rows, sampler);
  const { tokenBudget, seed } = args;
  const all = [train, ...held];
  const { sequences, reference, ...ofReference } = referenceOf({ ...inputs, args }, all);
  const shared = { tokenBudget, settings: lossSettings(args), reference, sequences };
  return {
    args,
    tokenizer: inputs.tokenizer,
    train: train.data,
    ...evaluationOf(held),
    batches,
    heldOut: (set) => (set === null ? held[0] : held.find(({ name }) => name === set))?.kept ?? [],
    warnings: [...warnings, ...ofOrder, ...all.flatMap(({ data }) => dataWarnings(data.report))],
    locate: train.data.locate,
    ...ofReference,
    sequences: (row) => train.rows.at(row),
    largestPass: async (done) => {
      async function* lengths() {
        for await (const { microBatches } of batches.steps(done))
          yield microBatches.map((indices) => Array.from(indices, (row) => train.rows.pieces(row)).flat());
      }
      return { ...(await largestPass(lengths(), tokenBudget)), twoPhases: true };
    },
    evaluationPass: () =>
      largestEvaluationPass(
        held.map(({ rows }) => rows),
        tokenBudget,
        args.perDeviceEvalBatchSize,
      ),
    step: ({ session, batches: { step, microBatches } }) => {
      const examples = (indices: Iterable<number>) => Array.from(indices, (row) => sequences(train, row)).flat();
      return pairsStep(session, { ...shared, microBatches: microBatches.map(examples) }, { step, seed });
    },
    evaluate: (context) => evaluatePairs(held, shared, context, args),
  };
}

/** Reads data sets as pairs. */
function reader(
  { tokenizer, model, args, keepHeldOut, onPreparing }: Inputs,
  formattingFunc: FormattingFunc | null,
  signal: AbortSignal,
) {
  const { datasetFormat, columns, maxRowBytes, onBadRow, maxLength } = args;
  const cache = args.loadFromCacheFile ? { folder: tokenCacheFolder(), minBytes: leastCached } : null;
  return async (kind: "train" | "eval", source: Inputs["trainDataset"], set: string | null): Promise<Pairs> => {
    const base = kind === "train" ? "trainDataset" : "evalDataset";
    const data = await prepare(source, tokenizer, {
      ...{ name: set === null ? base : `${base}.${set}`, task: "preference", datasetFormat, columns, maxRowBytes },
      ...{ onBadRow, maxLength, formattingFunc, signal, cache, vocabSize: model.info.vocabSize },
      ...{ datasetTextField: "text", assistantOnlyLoss: true, completionOnlyLoss: null },
      keepItems: kind === "train" ? 0 : keepHeldOut,
      onProgress: (progress: PrepareProgress) => onPreparing(kind, progress),
    });
    const kept = data.items.map((item, n) => ({ item, fields: data.rows[n]?.fields ?? {} }));
    return { name: set, data, rows: await pairRows(data.examples), kept };
  };
}

/** What checkpoints, events and reports know of the evaluation sets. */
function evaluationOf(held: readonly Pairs[]): Pick<PreparedRun, "evaluation" | "evalSets"> {
  const [first] = held;
  if (first === undefined) return { evaluation: null };
  if (first.name === null) return { evaluation: first.data };
  const all = createHash("sha256");
  for (const { name, data } of held) all.update(`${name}\n${data.fingerprint}\n`);
  return {
    evaluation: { report: first.data.report, fingerprint: all.digest("hex") },
    evalSets: Object.fromEntries(held.map(({ name, data }) => [name, data.report] as const)),
  };
}

async function evaluatePairs(
  held: readonly Pairs[],
  { sequences, ...shared }: Omit<PairsInput, "microBatches"> & Pick<ReturnType<typeof referenceOf>, "sequences">,
  { session, signal, set }: EvaluationContext,
  { perDeviceEvalBatchSize: size }: ParsedDPOConfig,
): Promise<DPOMetrics["eval"]> {
  const pairs = held.find(({ name }) => name === set);
  const count = pairs?.rows.length ?? 0;
  const microBatches = Array.from({ length: Math.ceil(count / size) }, (_, n) =>
    Array.from({ length: Math.min(size, count - n * size) }, (_, row) =>
      pairs === undefined ? [] : sequences(pairs, n * size + row),
    ).flat(),
  );
  const outcomes = await pairsEvaluation(session, { ...shared, microBatches }, signal);
  const mean = (name: keyof DPOMetrics["log"]) =>
    total(outcomes, ({ metrics }) => ratio(metrics[name].sum, metrics[name].weight)) / Math.max(1, outcomes.length);
  return {
    evalLoss: ratio(
      total(outcomes, ({ metrics, rowIds }) => metrics.loss.sum * rowIds.length),
      count,
    ),
    evalEntropy: mean("entropy"),
    evalMeanTokenAccuracy: mean("meanTokenAccuracy"),
    "evalRewards/chosen": mean("rewards/chosen"),
    "evalRewards/rejected": mean("rewards/rejected"),
    "evalRewards/accuracies": mean("rewards/accuracies"),
    "evalRewards/margins": mean("rewards/margins"),
    "evalLogps/chosen": mean("logps/chosen"),
    "evalLogps/rejected": mean("logps/rejected"),
    "evalLogits/chosen": mean("logits/chosen"),
    "evalLogits/rejected": mean("logits/rejected"),
  };
}
