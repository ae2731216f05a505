// What the steps of a run share: its options, what has been made so far, and how replies are come by.
import type { ParsedSelfInstructConfig, Similarity } from "@tunesmith/core";
import { keyOf, philox, purpose } from "@tunesmith/curriculum";
import type { Filters, SelfInstructStep } from "../filters.ts";
import type { GenerateTextOptions, Reply } from "../generate/generate.ts";
import type { StepReport } from "../report.ts";
import type { SynthTask } from "../seeds.ts";

/** How one kind of prompt is answered. */
export type Asking = Pick<GenerateTextOptions, "temperature" | "topP" | "presencePenalty" | "maxTokens" | "stop">;

/** Answers a batch, from the journal where it is there. */
export type Ask = (
  step: SelfInstructStep,
  request: number,
  prompts: readonly string[],
  asking: Asking,
) => Promise<{ replies: Reply[]; resumed: boolean }>;

/** What the steps of a run share. */
export interface Pool {
  config: ParsedSelfInstructConfig;
  similarity: Similarity;
  filters: Filters;
  ask: Ask;
  seeds: readonly SynthTask[];
  /** Generated tasks, in the order in which they were kept. */
  tasks: SynthTask[];
  steps: StepReport[];
}

/** Begins the report of a step; its filters are told at its end. */
export function beginStep(pool: Pool, step: SelfInstructStep): StepReport {
  const report: StepReport = { step, requests: 0, candidates: 0, kept: 0, surplus: 0, filters: [] };
  pool.steps.push(report);
  return report;
}

const streams: Readonly<Record<SelfInstructStep, number>> = {
  instructions: 0,
  classification: 1,
  instances: 2,
  rows: 3,
};

/** The seed of a batch: 31 bits, since endpoints may take no more. */
export function seedOf(seed: number, step: SelfInstructStep, request: number): number {
  return philox([request, streams[step], 0, purpose.sampling], keyOf(seed))[0] >>> 1;
}

/** Batches of a list, each with the place of its first. */
export function* batches<T>(all: readonly T[], size: number): Generator<[first: number, batch: T[]]> {
  for (let first = 0; first < all.length; first += size) yield [first, all.slice(first, first + size)];
}
