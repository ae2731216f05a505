// A second recipe, for tests: it trains the tokens the model is least sure of, and holds its entropy at a target.
import type { Batch, TokenValues } from "@tunesmith/core";
import { count, grouped, parseOptions, trainingArgumentsSchema } from "@tunesmith/core";
import { collate, type DatasetSource, type Example, type Placed, prepare, TrainingRows } from "@tunesmith/data";
import * as z from "zod";
import type { StepBatches } from "../loop/batch-sampler.ts";
import { epochBatches } from "../loop/epoch-batches.ts";
import type { TrainCallback } from "../loop/hooks/callback.ts";
import { type Metrics, ratio, total } from "../loop/metrics.ts";
import type { MicroBatchOutcome, PreparedRun, Recipe, RecipeInputs, RunInputs, StepContext } from "../loop/recipe.ts";
import { Trainer } from "../loop/trainer.ts";
import { largestPass } from "../memory/largest-pass.ts";
import { evalSetsOf } from "../options/eval-sets.ts";
import { parsePeftConfig } from "../options/peft-config.ts";

const schema = trainingArgumentsSchema.extend({
  ...grouped("data", { maxLength: count.default(64) }),
  ...grouped("optimizer", {
    topEntropyQuantile: z.number().positive().max(1).default(0.5),
    targetEntropy: z.number().nonnegative().default(4),
  }),
});
type Args = z.output<typeof schema>;

/** The metrics of this recipe. */
export interface EntropyMetrics extends Metrics {
  log: { loss: number; entropy: number; entropyCoef: number };
  eval: { evalLoss: number; evalAccuracy: number };
}

/**
 * Minimises −Σ log p − c · Σ entropy over the share of each micro-batch's tokens whose entropy is highest (arXiv:2506.01939). c rises
 * while the mean entropy is below its target and falls while it is above (arXiv:2505.22312).
 */
const recipe: Recipe<Args, EntropyMetrics> = {
  trainer: "entropy",
  metrics: {
    log: { loss: "ratio", entropy: "mean", entropyCoef: "last" },
    eval: { evalLoss: "lower", evalAccuracy: "higher" },
  },
  schema,
  prepare: prepareRows,
};

async function prepareRows(
  { tokenizer, trainDataset, evalDataset, args, keepHeldOut }: RecipeInputs<Args>,
  signal: AbortSignal,
): Promise<PreparedRun<Args, EntropyMetrics>> {
  const format = { datasetFormat: "auto", datasetTextField: "text", maxLength: args.maxLength } as const;
  const options = { ...format, keepItems: keepHeldOut, assistantOnlyLoss: true, completionOnlyLoss: null, signal };
  const read = (source: DatasetSource, name: string) => prepare(source, tokenizer, { ...options, name });
  const train = await read(trainDataset, "trainDataset");
  const [held] = evalSetsOf(evalDataset);
  const evaluation = held === undefined ? null : await read(held.source, "evalDataset");
  const kept = (evaluation?.items ?? []).map((item, n) => ({ item, fields: evaluation?.rows[n]?.fields ?? {} }));
  const { batches, warnings } = await epochBatches(args, new TrainingRows(train.examples));
  const examplesOf = ({ microBatches }: StepBatches) =>
    microBatches.map((rows) => Array.from(rows, (row) => train.examples.at(row)));
  const own = { coef: 0 };
  return {
    ...{
      args,
      tokenizer,
      train,
      evaluation,
      batches,
      warnings,
      locate: train.locate,
      heldOut: () => kept,
    },
    largestPass: async (done) => {
      const steps: ReturnType<typeof examplesOf>[] = [];
      for await (const step of batches.steps(done)) steps.push(examplesOf(step));
      return largestPass(steps, Number.POSITIVE_INFINITY);
    },
    step: async (context) => {
      const microBatches = [];
      for (const examples of examplesOf(context.batches))
        microBatches.push(await pass(context, examples, own.coef, args));
      const tokens = total(microBatches, ({ metrics }) => metrics.entropy.weight);
      const entropy = total(microBatches, ({ metrics }) => metrics.entropy.sum) / tokens;
      own.coef += Math.sign(args.targetEntropy - entropy) / 8;
      return { microBatches, denominator: tokens, badRows: [] };
    },
    evaluate: async ({ session }) => {
      const sums = await session.evaluate(collate([...(evaluation?.examples ?? [])].map(place)));
      const [loss = 0, tokens = 0, hits = 0] = [sums.lossSum, sums.tokens, sums.correct].map((list) =>
        total([...list], Number),
      );
      return { evalLoss: ratio(loss, tokens), evalAccuracy: ratio(hits, tokens) };
    },
    state: {
      save: () => own,
      load: (state) => {
        Object.assign(own, state);
      },
    },
  };
}

const place = (example: Example): Placed => ({ example, microBatch: 0 });

/** Both phases of one micro-batch: the tokens' values, then the derivative of the loss by each of them. */
async function pass(
  { session, batches: { step } }: StepContext,
  examples: readonly Example[],
  coef: number,
  { seed, topEntropyQuantile }: Args,
): Promise<MicroBatchOutcome<EntropyMetrics>> {
  const batch = collate(examples.map(place));
  const values = await session.forward(batch, { step, seed });
  const chosen = leastCertain(batch, values, topEntropyQuantile);
  const logProb = new Float32Array(batch.labels.length);
  const entropy = new Float32Array(batch.labels.length);
  for (const t of chosen) [logProb[t], entropy[t]] = [-1, -coef];
  await session.backward({ logProb, entropy });
  const weight = chosen.length;
  const entropySum = total(chosen, (t) => values.entropy[t] ?? 0);
  const lossSum = total(chosen, (t) => -(values.logProb[t] ?? 0)) - coef * entropySum;
  const loss = { sum: lossSum, weight };
  const metrics = { loss, entropy: { sum: entropySum, weight }, entropyCoef: { sum: coef, weight: 1 } };
  return { rowIds: examples.map(({ rowId }) => rowId), tokens: batch.inputIds.length, metrics };
}

/** The supervised tokens with the highest entropy. */
function leastCertain({ labels }: Batch, { entropy }: TokenValues, quantile: number): number[] {
  const tokens = [...labels.keys()].filter((t) => (entropy[t] ?? 0) > 0);
  tokens.sort((a, b) => (entropy[b] ?? 0) - (entropy[a] ?? 0));
  return tokens.slice(0, Math.ceil(quantile * tokens.length));
}

/** A trainer of this recipe. */
export function entropyTrainer(
  inputs: Omit<RunInputs, "args" | "peft"> & { args: object },
  callbacks: readonly TrainCallback<EntropyMetrics>[] = [],
): Trainer<Args, EntropyMetrics> {
  const options = { args: parseOptions(schema, inputs.args), peft: parsePeftConfig({}) };
  return new Trainer(recipe, { ...inputs, ...options }, callbacks);
}
