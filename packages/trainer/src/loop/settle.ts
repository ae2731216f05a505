// Defaults that depend on other options, and options that contradict each other: decided before any row is read.
import { basename, dirname, join } from "node:path";
import { OptionError, type ParsedTrainingArguments, snakeCase, watchesMetric } from "@tunesmith/core";
import { peakLearningRate } from "../options/parameter-groups.ts";
import type { Settled } from "../options/resolved.ts";
import type { DeclaredMetrics } from "./metrics.ts";
import type { RunInputs } from "./recipe.ts";
import { refuseUnwatched } from "./schedule.ts";

/**
 * Options with the defaults that depend on other options.
 *
 * @param resume as given to `train`
 */
export function settle<Args extends ParsedTrainingArguments>(
  { args, evalDataset, lrScheduler = null, model, peft }: RunInputs<Args>,
  resume: boolean | string,
): Settled<Args> {
  const hasEvaluation = evalDataset !== null;
  refuseMissingEvaluation(args, hasEvaluation);
  const automatic = args.evalSteps === null ? "epoch" : "steps";
  const resumedDir = typeof resume === "string" ? dirname(resume) : null;
  if (resume === true && args.outputDir === null)
    throw new OptionError("[outputDir] expected the run folder to continue, got none; give outputDir");
  const settled = {
    ...args,
    outputDir:
      args.outputDir ??
      resumedDir ??
      defaultOutputDir(args.runName, model.info.origin?.name ?? model.info.path, new Date()),
    learningRate: peakLearningRate(args, peft),
    maxGradNorm: args.maxGradNorm === 0 ? null : args.maxGradNorm,
    evalStrategy: hasEvaluation ? (args.evalStrategy ?? automatic) : ("no" as const),
    evalSteps: args.evalSteps ?? args.loggingSteps,
  };
  if (lrScheduler === null) refuseUnwatched(settled);
  return settled;
}

function refuseMissingEvaluation(args: ParsedTrainingArguments, hasEvaluation: boolean): void {
  const { evalStrategy, loadBestModelAtEnd, earlyStoppingPatience } = args;
  if (evalStrategy !== null && evalStrategy !== "no" && !hasEvaluation) {
    throw new OptionError(
      `[evalStrategy] expected an evaluation set for "${evalStrategy}", got none; give evalDataset or leave the option out`,
    );
  }
  if ((loadBestModelAtEnd || earlyStoppingPatience !== null) && (!hasEvaluation || evalStrategy === "no")) {
    const option = loadBestModelAtEnd ? "loadBestModelAtEnd" : "earlyStoppingPatience";
    throw new OptionError(
      `[${option}] expected evaluations to compare, got none; give evalDataset and an evalStrategy other than "no"`,
    );
  }
}

/** The metric that decides which evaluation is best: its name in events, and whether more of it is better. */
export interface BestMetric {
  name: string;
  greaterIsBetter: boolean;
  /** The evaluation set that it is measured on; null where there is one. */
  set: string | null;
}

/**
 * The declared metric that `metricForBestModel` names, in any spelling of options; transformers' trainer knows it without `eval_` as well. Of several sets it names one,
 * as in eval_NAME_loss; where nothing is chosen by it, the default is the loss of the first.
 *
 * @param sets names of the evaluation sets, where there are several
 */
export function bestMetric(
  args: Pick<
    ParsedTrainingArguments,
    "metricForBestModel" | "greaterIsBetter" | "loadBestModelAtEnd" | "earlyStoppingPatience" | "lrSchedulerType"
  >,
  declared: DeclaredMetrics["eval"],
  sets: readonly string[] = [],
): BestMetric {
  const { metricForBestModel: given, greaterIsBetter } = args;
  const [firstSet = null] = sets;
  const isChosen =
    args.loadBestModelAtEnd || args.earlyStoppingPatience !== null || watchesMetric(args.lrSchedulerType);
  const comparable = Object.entries(declared).filter(([, better]) => better !== null);
  const named = comparable.flatMap(([name, better]) =>
    (sets.length === 0 ? [null] : sets).map((set) => ({
      spelling: evalName(snakeCase(name), set),
      metric: { name, set, greaterIsBetter: greaterIsBetter ?? better === "higher" },
    })),
  );
  const wanted = /^eval(?:_|[A-Z])/u.test(given) ? given : `eval_${given}`;
  const byDefault = firstSet !== null && !isChosen && wanted === "eval_loss" ? evalName(wanted, firstSet) : wanted;
  const alike = ({ spelling }: { spelling: string }) => snakeCase(spelling) === snakeCase(byDefault);
  const found = named.find(({ spelling }) => spelling === byDefault) ?? named.find(alike);
  if (found !== undefined) return found.metric;
  const names = named.map(({ spelling }) => spelling).join(", ");
  throw new OptionError(
    `[metricForBestModel] expected one of ${names}, got "${given}"; correct it, or leave it out for the default`,
  );
}

/** A metric of one of several evaluation sets, in snake_case: eval_loss → eval_NAME_loss (transformers). */
export function evalName(metric: string, set: string | null): string {
  return set === null ? metric : `eval_${set}_${metric.replace(/^eval_/u, "")}`;
}

/** Default run folder: runs/NAME-yyyymmdd-hhmmss. */
function defaultOutputDir(runName: string | null, modelPath: string, now: Date): string {
  const pad = (value: number) => String(value).padStart(2, "0");
  const date = `${now.getFullYear()}${pad(now.getMonth() + 1)}${pad(now.getDate())}`;
  const time = `${pad(now.getHours())}${pad(now.getMinutes())}${pad(now.getSeconds())}`;
  const name = (runName ?? basename(modelPath)).replaceAll(/[^\w.-]+/gu, "-");
  return join("runs", `${name}-${date}-${time}`);
}
