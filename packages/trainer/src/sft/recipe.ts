// Supervised fine-tuning as a recipe of the loop.
import { type ParsedSFTConfig, sftConfigSchema, withConversationOptions } from "@tunesmith/core";
import type { SamplerFactory } from "@tunesmith/curriculum";
import type { FormattingFunc } from "@tunesmith/data";
import { epochBatches, type StepBatches } from "../loop/batch-sampler.ts";
import type { PreparedRun, Recipe, RecipeInputs } from "../loop/recipe.ts";
import { largestPass } from "../memory/largest-pass.ts";
import type { DataCollator } from "./collator.ts";
import { dataWarnings } from "./data-warnings.ts";
import { evaluate } from "./evaluate.ts";
import { type SFTMetrics, sftMetrics } from "./metrics.ts";
import { type ArrangedRows, arrangeRows, exampleLength } from "./packing.ts";
import { epochWarnings, prepareRows, type RowsRequest, withinContext } from "./prepare.ts";
import { checkResponses } from "./responses-only.ts";
import { accumulateStep } from "./step.ts";

/** Held-out rows that are watched when `samplePrompts` names none. */
const defaultSamples = 3;

/** What only a program can give. */
export interface SFTFunctions {
  /** Makes of each row what a format reads; null: rows are read as they are. */
  formattingFunc: FormattingFunc | null;
  /** Makes the order of the rows; null: `trainSamplingStrategy` says it. */
  sampler: SamplerFactory | null;
  /** Makes the batches. */
  dataCollator: DataCollator;
}

/** Supervised fine-tuning: the mean negative log-likelihood of the supervised tokens is minimised. */
export function sftRecipe(functions: SFTFunctions): Recipe<ParsedSFTConfig, SFTMetrics> {
  return {
    metrics: sftMetrics,
    schema: sftConfigSchema,
    prepare: (inputs, signal) => prepareSFT(inputs, functions, signal),
  };
}

async function prepareSFT(
  { model, tokenizer: plain, trainDataset, evalDataset, args: given }: RecipeInputs<ParsedSFTConfig>,
  { formattingFunc, sampler, dataCollator: collator }: SFTFunctions,
  signal: AbortSignal,
): Promise<PreparedRun<ParsedSFTConfig, SFTMetrics>> {
  const warnings: string[] = [];
  const args = withinContext(given, model, warnings);
  const { sanitizeControlTokens } = args;
  const tokenizer = withConversationOptions(plain, { sanitizeControlTokens });
  const reader = { tokenizer, vocabSize: model.info.vocabSize };
  checkResponses(args, tokenizer);
  const rows = { source: trainDataset, name: "trainDataset", keepItems: 0, formattingFunc };
  const { data: train, rows: trainRows } = await readRows(rows, reader, { args, packed: args.packing, signal });
  const heldOut =
    evalDataset === null ? null : { ...rows, source: evalDataset, name: "evalDataset", keepItems: defaultSamples };
  const packed = args.evalPacking ?? args.packing;
  const held = heldOut === null ? null : await readRows(heldOut, reader, { args, packed, signal });
  const evaluation = held?.data ?? null;
  const { batches, warnings: orderWarnings } = epochBatches(args, trainRows.lengths, sampler);
  warnings.push(
    ...orderWarnings,
    ...dataWarnings(train.report),
    ...(evaluation === null ? [] : dataWarnings(evaluation.report)),
  );
  warnings.push(...epochWarnings(args, train.examples.length));
  const sequencesOf = <T>({ microBatches }: StepBatches, sequences: (row: number) => readonly T[]) =>
    microBatches.map((rows) => Array.from(rows, sequences).flat());
  const { tokenBudget, seed, perDeviceEvalBatchSize: batchSize } = args;
  return {
    args,
    tokenizer,
    train,
    evaluation,
    batches,
    heldOut: evaluation?.items ?? [],
    warnings,
    largestPass: (done) =>
      largestPass(
        map(batches.steps(done), (step) => sequencesOf(step, (row) => trainRows.pieces(row))),
        tokenBudget,
      ),
    locate: train.locate,
    step: ({ session, batches: step }) =>
      accumulateStep(session, {
        step: step.step,
        microBatches: sequencesOf(step, (row) => trainRows.at(row)),
        tokenBudget,
        seed,
        collator,
      }),
    evaluate: ({ session, signal: stop }) =>
      evaluate(session, held?.rows ?? noRows, { batchSize, tokenBudget, collator, signal: stop }),
  };
}

/** What is evaluated without an evaluation set. */
const noRows = { length: 0, at: () => [] };

/** Reads a data set and lays it out. */
async function readRows(
  request: RowsRequest,
  reader: Parameters<typeof prepareRows>[1],
  { args, packed, signal }: { args: ParsedSFTConfig; packed: boolean; signal: AbortSignal },
): Promise<ArrangedRows> {
  const data = await prepareRows(request, reader, { ...args, maxLength: exampleLength(args, packed) }, signal);
  return arrangeRows(data, packed, args);
}

/** A list seen through a function, entry by entry. */
function* map<A, B>(list: Iterable<A>, change: (entry: A) => B): Generator<B, undefined> {
  for (const entry of list) yield change(entry);
}
