// What `tunesmith sft` takes besides the options of a run: names of TRL's ScriptArguments and ModelConfig, and its defaults there.
import * as z from "zod";
import { grouped } from "./declare.ts";
import { notYet, taken } from "./field/verdicts.ts";

/** Names of TRL's `trl sft` that say which rows are read and whether there is an adapter. */
export const scriptArgumentsSchema = z
  .strictObject({
    ...grouped("data", {
      datasetConfig: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe("Configuration (subset) of the data set. Default null: the only one, or default (datasets)."),
      datasetTrainSplit: z.string().min(1).default("train").describe("Split to train on. Default train (TRL)."),
      datasetTestSplit: z
        .string()
        .min(1)
        .default("test")
        .describe("Split to evaluate on, where evalStrategy is not no. Default test (TRL)."),
      datasets: z
        .array(
          z.strictObject({
            path: z.string().min(1),
            name: z.string().min(1).nullable().optional(),
            split: z.string().min(1).optional(),
          }),
        )
        .nullable()
        .default(null)
        .describe("Data sets one after another, in place of datasetName. Default null: datasetName (TRL has [])."),
    }),
    ...grouped("adapter", {
      usePeft: z.boolean().default(false).describe("Train an adapter, and not every weight. Default false (TRL)."),
    }),
    ...grouped("taken", {
      numProcesses: notYet(z.literal(1), 1, "several GPUs", "a run has one process; leave it out"),
      numMachines: notYet(z.literal(1), 1, "several GPUs", "a run has one machine; leave it out"),
      accelerateConfig: notYet(
        z.literal("single_gpu"),
        "single_gpu",
        "several GPUs",
        "a run has one device; leave it out",
      ),
      env: taken(
        z.record(z.string(), z.unknown()),
        null,
        "a configuration file sets variables of the environment with it",
      ),
      ignoreBiasBuffers: taken(z.boolean(), false, "there is one process with one device"),
    }),
  })
  .meta({
    title: "ScriptArguments",
    description: "What tunesmith sft takes besides (names of TRL's ScriptArguments).",
  });

/** Options with their defaults. */
export type ParsedScriptArguments = z.output<typeof scriptArgumentsSchema>;

/** Defaults of `tunesmith sft` that are not those of `tunesmith train`: what `trl sft` has. */
export const scriptDefaults = {
  r: 16,
  loraAlpha: 32,
  loraDropout: 0.05,
  dtype: "float32",
  bnb4bitUseDoubleQuant: false,
  assistantOnlyLoss: false,
  gradientCheckpointing: true,
  evalStrategy: "no",
} as const;
