// What a run tells while it goes on, and at its end.
import type { SelfInstructFilter } from "@tunesmith/core";
import type { FilterReport, SelfInstructStep } from "./filters.ts";
import type { SimilarInstruction } from "./seeds.ts";

/** What a run did, step by step. */
export interface SelfInstructReport {
  /** Seed tasks. */
  seeds: number;
  /** Why it stopped looking for instructions: it had as many as asked for, or a limit was reached. */
  stopped: "complete" | "maxRequests" | "maxIdleRequests";
  /** In their order. Of each, candidates are those kept, those dropped by its filters, and the surplus. */
  steps: StepReport[];
  /** What was said of the generated instructions; unclear replies count as no. */
  classification: { yes: number; no: number; unclear: number };
  /** Generated instructions without an instance that was kept. */
  withoutInstance: number;
  rows: { generated: number; seeds: number };
  /** Files written; null without `output`. */
  files: SelfInstructFiles | null;
}

/** What a step did. */
export interface StepReport {
  step: SelfInstructStep;
  /** Prompts that were answered, those of an earlier run included. */
  requests: number;
  /** Instructions, tasks, instances or rows that were looked at. */
  candidates: number;
  kept: number;
  /** Candidates that were not needed any more. */
  surplus: number;
  filters: FilterReport[];
}

/** The files of a run. */
export interface SelfInstructFiles {
  /** Prompts and completions, as `SFTTrainer` takes them. */
  rows: string;
  /** The generated tasks with their instances, in the form of seeds. */
  tasks: string;
  /** The replies, from which an interrupted run goes on. */
  journal: string;
}

/** What happens in a run. */
export type SelfInstructEvent =
  /** A batch of prompts was answered; `resumed`: by an earlier run. `total` is known once the instructions are there. */
  | { type: "request"; step: SelfInstructStep; requests: number; total: number | null; kept: number; resumed: boolean }
  /** A new instruction of the pool. */
  | { type: "instruction"; task: string; instruction: string; mostSimilar: SimilarInstruction | null }
  /** Something that a filter dropped. */
  | {
      type: "dropped";
      step: SelfInstructStep;
      filter: SelfInstructFilter;
      text: string;
      mostSimilar?: SimilarInstruction;
    }
  /** Whether a task has labels as answers; null: the reply was neither yes nor no, which counts as no. */
  | { type: "classification"; task: string; isClassification: boolean | null }
  /** A new instance of a task. */
  | { type: "instance"; task: string; input: string; output: string }
  /** A row, in the order of the file. */
  | { type: "row"; prompt: string; completion: string; task: string; source: "generated" | "seed" }
  /** Something to know before training on the rows. */
  | { type: "warning"; message: string }
  /** The end. */
  | { type: "done"; report: SelfInstructReport };
