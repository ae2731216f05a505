// Supervised fine-tuning as a recipe of the loop.
import { createHash } from "node:crypto";
import { type ParsedSFTConfig, sftConfigSchema, type TrainSession, withConversationOptions } from "@tunesmith/core";
import type { SamplerFactory } from "@tunesmith/curriculum";
import type { FormattingFunc, PreparedData, PrepareProgress } from "@tunesmith/data";
import type { HeldOutRow, PreparedRun, Recipe, RecipeInputs } from "../loop/recipe.ts";
import { largestEvaluationPass } from "../memory/largest-pass.ts";
import { evalSetsOf } from "../options/eval-sets.ts";
import type { DataCollator } from "./collator.ts";
import type { OwnLoss } from "./compute-loss.ts";
import { dataWarnings } from "./data-warnings.ts";
import { evaluate } from "./evaluate.ts";
import { type SFTMetrics, sftMetrics } from "./metrics.ts";
import { evalObjectiveOf, lossNotes, objectiveOf } from "./objective.ts";
import { ownLossStep } from "./own-loss.ts";
import { type ArrangedRows, arrangeRows, exampleLength } from "./packing.ts";
import { prepareRows, type RowsReader, type RowsRequest, withinContext } from "./prepare.ts";
import { type AdvisedOption, withAdvice } from "./recommend.ts";
import { checkResponses } from "./responses-only.ts";
import { accumulateStep, type StepInput } from "./step.ts";
import { streamedData, wholeData } from "./training-data.ts";
import { untrainedIn } from "./untrained-tokens.ts";

/** What only a program can give. */
export interface SFTFunctions {
  /** Makes of each row what a format reads; null: rows are read as they are. */
  formattingFunc: FormattingFunc | null;
  /** Makes the order of the rows; null: `trainSamplingStrategy` says it. */
  sampler: SamplerFactory | null;
  /** Makes the batches. */
  dataCollator: DataCollator;
  /** What is minimised; null: options say it. */
  ownLoss: OwnLoss | null;
  /** Options that `auto` decides, since they are not set. */
  advised: readonly AdvisedOption[];
  /** What the user should know of the options. Default: nothing. */
  warnings?: readonly string[];
}

/** Supervised fine-tuning: the mean loss of the supervised tokens is minimised. */
export function sftRecipe(functions: SFTFunctions): Recipe<ParsedSFTConfig, SFTMetrics> {
  return {
    trainer: "sft",
    metrics: sftMetrics,
    schema: sftConfigSchema,
    prepare: async (inputs, signal) => prepareSFT(await withAdvice(inputs, functions, signal), functions, signal),
  };
}

async function prepareSFT(
  inputs: RecipeInputs<ParsedSFTConfig>,
  { formattingFunc, sampler, dataCollator: collator, ownLoss, warnings: known = [] }: SFTFunctions,
  signal: AbortSignal,
): Promise<PreparedRun<ParsedSFTConfig, SFTMetrics>> {
  const { model, tokenizer: plain, trainDataset, args: given, onPreparing } = inputs;
  const warnings: string[] = [...known];
  const args = withinContext(given, model, warnings);
  if (ownLoss === null) warnings.push(...lossNotes(args));
  const { sanitizeControlTokens } = args;
  const tokenizer = withConversationOptions(plain, { sanitizeControlTokens });
  const reader = { tokenizer, vocabSize: model.info.vocabSize };
  checkResponses(args, tokenizer);
  const onProgress = (progress: PrepareProgress) => onPreparing("train", progress);
  const rows = { source: trainDataset, name: "trainDataset", keepItems: 0, formattingFunc, onProgress };
  const whole = args.streaming ? null : await readRows(rows, reader, { args, packed: args.packing, signal });
  const held = await readHeldOut(inputs, reader, { args, formattingFunc, signal });
  const [first] = held;
  const context = model.info.maxPositionEmbeddings;
  // Opened last: what is held open from here on is closed with the run.
  const { sequences, news, ...data } =
    whole === null
      ? await streamedData(rows, reader, args, { context, signal })
      : await wholeData(whole, tokenizer, args, sampler);
  const { tokenBudget, seed, perDeviceEvalBatchSize: batchSize, dataloaderDropLast: dropLast } = args;
  const [objective, evalObjective] = [objectiveOf(args), evalObjectiveOf(args)];
  return {
    ...data,
    args,
    tokenizer,
    sequences,
    ...evaluationOf(held),
    heldOut: (set) => (set === null ? first : held.find(({ name }) => name === set))?.kept ?? [],
    warnings: [...warnings, ...data.warnings, ...heldOutWarnings(whole, held)],
    step: async ({ session, batches }) => {
      const microBatches = batches.microBatches.map((indices) => Array.from(indices, sequences).flat());
      const input = { step: batches.step, microBatches, tokenBudget, seed, collator };
      const untrainedTokens = untrainedIn(session.info.untrainedTokens, microBatches);
      const outcome = await gradientOf(session, input, { objective, ownLoss, locate: data.locate });
      return { ...outcome, untrainedTokens, warnings: news(batches) };
    },
    evaluate: ({ session, signal: stop, set }) => {
      const found = held.find(({ name }) => name === set);
      return evaluate(session, found?.rows ?? noRows, {
        ...{ batchSize, dropLast, tokenBudget, collator, signal: stop },
        ...{ objective: evalObjective, own: ownLoss, locate: (row) => found?.data.locate(row) ?? `row ${row}` },
      });
    },
    // Values, a function, derivatives: what is between the two phases has its own memory.
    evaluationPass: () =>
      largestEvaluationPass(
        held.map(({ rows }) => rows),
        tokenBudget,
        null,
      ),
    largestPass: async (done) => ({ ...(await data.largestPass(done)), twoPhases: ownLoss !== null }),
  };
}

/** Leaves the gradient of a step in the session: of the objective that options name, or of the program's own. */
function gradientOf(
  session: TrainSession,
  input: Omit<StepInput, "objective">,
  {
    objective,
    ownLoss,
    locate,
  }: Pick<StepInput, "objective"> & Pick<SFTFunctions, "ownLoss"> & Pick<PreparedRun, "locate">,
) {
  if (ownLoss === null) return accumulateStep(session, { ...input, objective });
  return ownLossStep(session, ownLoss, input, locate);
}

/** The rows of an evaluation set. */
interface HeldOut extends ArrangedRows {
  name: string | null;
  kept: readonly HeldOutRow[];
}

/** Reads the evaluation sets, one after another. */
async function readHeldOut(
  { evalDataset, keepHeldOut: keepItems, onPreparing }: RecipeInputs<ParsedSFTConfig>,
  reader: RowsReader,
  {
    args,
    formattingFunc,
    signal,
  }: { args: ParsedSFTConfig; signal: AbortSignal } & Pick<SFTFunctions, "formattingFunc">,
): Promise<HeldOut[]> {
  const packed = args.evalPacking ?? args.packing;
  const onProgress = (progress: PrepareProgress) => onPreparing("eval", progress);
  const held: HeldOut[] = [];
  for (const { name: set, source } of evalSetsOf(evalDataset)) {
    const name = set === null ? "evalDataset" : `evalDataset.${set}`;
    const request = { source, name, keepItems, formattingFunc, onProgress };
    const arranged = await readRows(request, reader, { args, packed, signal });
    held.push({ name: set, kept: heldOutRows(arranged.data), ...arranged });
  }
  return held;
}

function heldOutRows({ items, rows }: PreparedData): HeldOutRow[] {
  return items.map((item, index) => ({ item, fields: rows[index]?.fields ?? {} }));
}

/** What evaluation sets lost, and those that hold the rows that are trained on, in words. */
function heldOutWarnings(trained: ArrangedRows | null, held: readonly HeldOut[]): string[] {
  return held.flatMap(({ data: { report, fingerprint } }) => [
    ...dataWarnings(report),
    ...(fingerprint === trained?.data.fingerprint
      ? [
          `${report.source}: these are the rows that are trained on, so their loss says how well they are remembered, and not what was learned; give held-out rows, or testSize`,
        ]
      : []),
  ]);
}

/** What checkpoints, events and reports know of the evaluation sets. */
function evaluationOf(held: readonly HeldOut[]): Pick<PreparedRun, "evaluation" | "evalSets"> {
  const [first] = held;
  if (first === undefined) return { evaluation: null };
  if (first.name === null) return { evaluation: first.data };
  const all = createHash("sha256");
  for (const { name, data } of held) all.update(`${name}\n${data.fingerprint}\n`);
  const reports = held.map(({ name, data }) => [name, data.report] as const);
  return {
    evaluation: { report: first.data.report, fingerprint: all.digest("hex") },
    evalSets: Object.fromEntries(reports),
  };
}

/** What is evaluated without an evaluation set. */
const noRows = { length: 0, at: () => [] };

/** Reads a data set and lays it out. */
async function readRows(
  request: RowsRequest,
  reader: RowsReader,
  { args, packed, signal }: { args: ParsedSFTConfig; packed: boolean; signal: AbortSignal },
): Promise<ArrangedRows> {
  const data = await prepareRows(request, reader, { ...args, maxLength: exampleLength(args, packed) }, signal);
  return arrangeRows(data, packed, args);
}
