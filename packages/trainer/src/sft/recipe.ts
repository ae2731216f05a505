// Supervised fine-tuning as a recipe of the loop.
import { type ParsedSFTConfig, sftConfigSchema, withConversationOptions } from "@tunesmith/core";
import type { Example } from "@tunesmith/data";
import { epochBatches, type StepBatches } from "../loop/batch-sampler.ts";
import type { PreparedRun, Recipe, RecipeInputs } from "../loop/recipe.ts";
import { largestPass } from "../memory/largest-pass.ts";
import { evaluate } from "./evaluate.ts";
import { type SFTMetrics, sftMetrics } from "./metrics.ts";
import { dataWarnings, epochWarnings, prepareRows, withinContext } from "./prepare.ts";
import { accumulateStep } from "./step.ts";

/** Held-out rows that are watched when `samplePrompts` names none. */
const defaultSamples = 3;

/** Supervised fine-tuning: the mean negative log-likelihood of the supervised tokens is minimised. */
export const sftRecipe: Recipe<ParsedSFTConfig, SFTMetrics> = {
  metrics: sftMetrics,
  schema: sftConfigSchema,
  prepare: prepareSFT,
};

async function prepareSFT(
  { model, tokenizer: plain, trainDataset, evalDataset, args: given }: RecipeInputs<ParsedSFTConfig>,
  signal: AbortSignal,
): Promise<PreparedRun<ParsedSFTConfig, SFTMetrics>> {
  const warnings: string[] = [];
  const args = withinContext(given, model, warnings);
  const { sanitizeControlTokens } = args;
  const tokenizer = withConversationOptions(plain, { sanitizeControlTokens });
  const reader = { tokenizer, vocabSize: model.info.vocabSize };
  const rows = { source: trainDataset, name: "trainDataset", keepItems: 0 };
  const train = await prepareRows(rows, reader, args, signal);
  const heldOut = evalDataset === null ? null : { source: evalDataset, name: "evalDataset", keepItems: defaultSamples };
  const evaluation = heldOut === null ? null : await prepareRows(heldOut, reader, args, signal);
  const { batches, warnings: orderWarnings } = epochBatches(
    args,
    train.examples.map((example) => example.length),
  );
  warnings.push(...orderWarnings, ...dataWarnings(train), ...(evaluation === null ? [] : dataWarnings(evaluation)));
  warnings.push(...epochWarnings(args, train.examples.length));
  const examplesOf = ({ microBatches }: StepBatches) =>
    microBatches.map((indices) => Array.from(indices, (index) => train.examples[index] as Example));
  const { tokenBudget, seed, perDeviceEvalBatchSize: batchSize } = args;
  return {
    args,
    tokenizer,
    train,
    evaluation,
    batches,
    heldOut: evaluation?.items ?? [],
    warnings,
    largestPass: (done) => largestPass(map(batches.steps(done), examplesOf), tokenBudget),
    locate: train.locate,
    step: ({ session, batches: step }) =>
      accumulateStep(session, { step: step.step, microBatches: examplesOf(step), tokenBudget, seed }),
    evaluate: ({ session, signal: stop }) =>
      evaluate(session, evaluation?.examples ?? [], { batchSize, tokenBudget, signal: stop }),
  };
}

/** A list seen through a function, entry by entry. */
function* map<A, B>(list: Iterable<A>, change: (entry: A) => B): Generator<B, undefined> {
  for (const entry of list) yield change(entry);
}
