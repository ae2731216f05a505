// The trainers of the command line, by what differs between them; everything else is one way through.
import type { DPOConfig, SFTConfig } from "@tunesmith/core";
import type { DPOTrainer, SFTTrainer, SFTTrainerOptions } from "@tunesmith/sdk";
import { dpoResumeSchemas, dpoSchemas, resumeSchemas, trainingCommands, trainingSchemas } from "../flags.ts";

/** What a trainer is made of, whichever it is. */
type Made = Pick<SFTTrainerOptions, "model" | "trainDataset" | "evalDataset" | "peftConfig"> & {
  /** Options by its own schema, which it checks again. */
  args: object;
};

/** A trainer of the command line. */
export interface TrainerKind<T extends SFTTrainer | DPOTrainer = SFTTrainer | DPOTrainer> {
  /** As runs name it. */
  name: keyof typeof trainingCommands;
  /** The command that starts it, for messages. */
  command: string;
  /** What that takes, and its configuration file. */
  schemas: typeof trainingSchemas | typeof dpoSchemas;
  /** What a resumed run of it takes. */
  resumeSchemas: typeof resumeSchemas | typeof dpoResumeSchemas;
  /** Options that change what its loss is: losses of runs that differ in them do not compare. */
  decidesLoss: readonly string[];
  /** Reads the trainer itself, which the checks of a command line do without. */
  create(made: Made): Promise<T>;
}

/** Supervised fine-tuning. */
const sft: TrainerKind<SFTTrainer> = {
  name: "sft",
  command: trainingCommands.sft,
  schemas: trainingSchemas,
  decidesLoss: [],
  resumeSchemas,
  create: async ({ args, ...made }) =>
    new (await import("@tunesmith/sdk")).SFTTrainer({ ...made, args: args as SFTConfig }),
};

/** Preference optimization. */
const dpo: TrainerKind<DPOTrainer> = {
  name: "dpo",
  command: trainingCommands.dpo,
  schemas: dpoSchemas,
  decidesLoss: ["beta", "lossType", "lossWeights", "labelSmoothing", "fDivergenceType", "ldAlpha", "useWeighting"],
  resumeSchemas: dpoResumeSchemas,
  create: async ({ args, ...made }) =>
    new (await import("@tunesmith/sdk")).DPOTrainer({ ...made, args: args as DPOConfig }),
};

/** Every trainer, by the name that runs have of it. */
export const trainers = { sft, dpo };
