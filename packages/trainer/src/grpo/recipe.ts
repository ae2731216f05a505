// Group relative policy optimization as a recipe of the loop.
import { join } from "node:path";
import { CheckpointError, grpoConfigSchema, type ParsedGRPOConfig, plural } from "@tunesmith/core";
import type { SamplerFactory } from "@tunesmith/curriculum";
import type { FormattingFunc } from "@tunesmith/data";
import * as z from "zod";
import { rewardRules } from "../health/rewards.ts";
import type { PreparedRun, Recipe, RecipeInputs, RecipeState } from "../loop/recipe.ts";
import { RewardFile } from "../rewards/journal.ts";
import type { RewardObject } from "../rewards/reward.ts";
import { dataWarnings } from "../sft/data-warnings.ts";
import { referenceFor } from "../two-phase/reference.ts";
import { CompletionsFile } from "./completions-file.ts";
import { EntropyControl } from "./entropy-control.ts";
import { generationSchema, savedGeneration } from "./generation.ts";
import { type GenerationBatches, generationBatches } from "./generation-batches.ts";
import { doubtfulLoss, lossSettings } from "./loss-settings.ts";
import { type GRPOMetrics, grpoMetrics } from "./metrics.ts";
import { type NoteName, noteNames } from "./notes.ts";
import { readPrompts } from "./prompts.ts";
import type { RolloutFunc } from "./rollout.ts";
import { GRPORun } from "./run.ts";

/** What only a program can give. */
export interface GRPOFunctions {
  rewards: readonly RewardObject[];
  /** Makes of each row what a format reads; null: rows are read as they are. */
  formattingFunc: FormattingFunc | null;
  /** Makes the order of the prompts; null: `trainSamplingStrategy` says it. */
  sampler: SamplerFactory | null;
  /** Gives the completions; null: they are sampled. */
  rolloutFunc: RolloutFunc | null;
  /** @internal Where each completion of a generation goes among its micro-batches. Default: shuffled by the seed. */
  order?: ((completions: number, generation: number) => Int32Array) | undefined;
}

/** Group relative policy optimization: of the completions of a prompt those that were rewarded more become likelier. */
export function grpoRecipe(functions: GRPOFunctions): Recipe<ParsedGRPOConfig, GRPOMetrics> {
  return {
    trainer: "grpo",
    metrics: grpoMetrics,
    schema: grpoConfigSchema,
    healthRules: rewardRules,
    prepare: (inputs, signal) => prepareGRPO(inputs, functions, signal),
  };
}

const stateSchema = z.object({
  generations: z.array(generationSchema),
  entropy: z.object({ coef: z.number(), entropy: z.number().nullable() }),
  completionsBytes: z.int().nonnegative(),
  told: z.array(z.enum(noteNames)),
});

async function prepareGRPO(
  inputs: RecipeInputs<ParsedGRPOConfig>,
  { rewards, formattingFunc, sampler, rolloutFunc, order }: GRPOFunctions,
  signal: AbortSignal,
): Promise<PreparedRun<ParsedGRPOConfig, GRPOMetrics>> {
  const { args, model, peft, tokenizer } = inputs;
  const prompts = await readPrompts(inputs, formattingFunc, signal);
  const { rows, data, lengths } = prompts;
  const facts = (row: number) => {
    const { prompt } = rows[row] ?? { prompt: "" };
    const turns = typeof prompt === "string" ? 1 : prompt.length;
    return { length: lengths[row] as number, turns, trainedTokens: 0, rowIds: [row] };
  };
  const { batches, warnings } = await generationBatches(args, { lengths, facts }, sampler, order);
  const { reference, frozenCopy } = args.beta === 0 ? { reference: null } : referenceFor(model, peft);
  const journal = new RewardFile(join(args.outputDir, "rewards.jsonl"));
  const file = new CompletionsFile(join(args.outputDir, "completions.jsonl"));
  const eos = tokenizer.info.eosToken?.id;
  const eosTokenIds = [...new Set([...model.info.eosTokenIds, ...(eos === undefined ? [] : [eos])])];
  const control = new EntropyControl(args);
  const run = new GRPORun({
    maker: {
      ...{ args, prompts: rows, tokenizer, vocabSize: model.info.vocabSize, eosTokenIds, rewards, journal },
      ...{ rolloutFunc, reference, signal },
    },
    ...{ batches, settings: lossSettings(args), control, file },
  });
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0) + args.maxCompletionLength;
  return {
    args,
    tokenizer,
    train: data,
    evaluation: null,
    batches,
    heldOut: () => [],
    warnings: [...warnings, ...doubtfulLoss(args), ...dataWarnings(data.report)],
    locate: (row) => rows[row]?.place ?? plural(row, "row"),
    ...(frozenCopy && { frozenCopy }),
    largestPass: () => {
      const tokens = Math.max(longest, Math.min(args.tokenBudget, longest * batches.sizes.generationBatchSize));
      return { tokens, longest, supervised: tokens, twoPhases: true };
    },
    step: (context) => run.step(context),
    evaluate: async () => ({ evalLoss: Number.NaN }),
    state: stateOf(run, { batches, control, file }),
    close: async () => {
      await journal.close();
      await file.close();
      await frozenCopy?.close();
    },
  };
}

/** What a checkpoint holds of the run. */
interface StateParts {
  batches: GenerationBatches;
  control: EntropyControl;
  file: CompletionsFile;
}

function stateOf(run: GRPORun, parts: StateParts): RecipeState {
  return {
    save: (step) => saved(run, parts, step),
    load(state) {
      const { data: found, error } = stateSchema.safeParse(state);
      if (error !== undefined)
        throw new CheckpointError(
          `[grpo] expected the generation that the run was in, got a state where ${error.issues[0]?.path.join(".")} is wrong; resume from an older checkpoint`,
          { cause: error },
        );
      parts.control.load(found.entropy);
      parts.file.keep(found.completionsBytes);
      run.restore(found.generations, new Set(found.told));
    },
  };
}

/** The generations that steps after this one go on with, and what else is remembered. */
async function saved(
  run: GRPORun,
  { batches, control, file }: StateParts,
  step: number,
): Promise<z.input<typeof stateSchema>> {
  const next = step < batches.totalSteps ? await batches.slicesOf(step + 1) : [];
  const needed = new Set(next.map(({ generation }) => generation));
  return {
    generations: run.generations.filter(({ generation }) => needed.has(generation)).map(savedGeneration) as z.input<
      typeof stateSchema
    >["generations"],
    entropy: control.save(),
    completionsBytes: await file.sync(),
    told: [...run.told] as NoteName[],
  };
}
