// Learning rates that cannot be what was meant.
import { hasWarmup, optimizerNote, optimizerOptions, plural, type SessionInfo } from "@tunesmith/core";
import { rateLimit } from "../health/learning-rate.ts";
import type { Resolved } from "../options/resolved.ts";
import { learningRateAt, type Schedule } from "./schedule.ts";

/** What to say of the schedule of a run. A peak that is too high is a matter of its health. */
export function doubtfulSchedule(args: Resolved, schedule: Schedule): string[] {
  const { optim } = args;
  const { learningRate, options, totalSteps, warmupSteps } = schedule;
  const note = optimizerNote(optim);
  const warnings: string[] = note === null ? [] : [note];
  const { type } = optimizerOptions(args);
  if (type === "schedulefree" && options.type !== "constant")
    warnings.push(
      `optim ${optim} needs no schedule, but lrSchedulerType ${options.type} changes its rates as well; set it to constant, which keeps warmupSteps`,
    );
  const rates: [string, number | null | undefined][] = [
    ["embeddingLearningRate", args.embeddingLearningRate],
    ...(args.lrGroups ?? []).map((group, n) => [`lrGroups[${n}].learningRate`, group.learningRate] as [string, number]),
  ];
  for (const [name, rate] of rates)
    if ((rate ?? 0) >= rateLimit(type, false))
      warnings.push(`${name} ${rate} is far above what ${optim} trains with (usual are 1e-6 to 1e-3); lower it`);
  if (learningRate === 0) warnings.push("learningRate 0 trains nothing; set it above 0");
  if (options.type === "greedy" && learningRate < options.minLr)
    warnings.push(
      `lrSchedulerType greedy: learningRate ${learningRate} is below the lowest rate ${options.minLr}, so it can only rise; set minLr in lrSchedulerKwargs`,
    );
  if (hasWarmup(options.type) && warmupSteps >= totalSteps && totalSteps > 0)
    warnings.push(
      `the warm-up of ${plural(warmupSteps, "step")} is no shorter than the run of ${totalSteps}, so learningRate ${learningRate} is never reached ` +
        `(${learningRateAt(totalSteps, schedule).toPrecision(2)} in the last step); lower warmupSteps, or give a share below 1`,
    );
  return [...warnings, ...doubtfulConstants(schedule)];
}

/** Constants with which a schedule does the opposite of what it is for, or nothing. */
function doubtfulConstants({ options, learningRate, totalSteps, warmupSteps }: Schedule): string[] {
  const says = (why: string) => [`lrSchedulerKwargs of ${options.type}: ${why}`];
  switch (options.type) {
    case "cosine_with_min_lr":
    case "cosine_warmup_with_min_lr":
      if (learningRate === 0 || options.minLr === undefined || options.minLr <= learningRate) return [];
      return says(`minLr ${options.minLr} is above learningRate ${learningRate}, so the rate rises to it; lower it`);
    case "reduce_lr_on_plateau":
      if (learningRate === 0 || options.minLr < learningRate) return [];
      return says(`minLr ${options.minLr} is no lower than learningRate ${learningRate}, which is never cut; lower it`);
    case "warmup_stable_decay": {
      const before = warmupSteps + options.numDecaySteps - totalSteps;
      // A warm-up as long as the run is told of itself.
      if (options.numStableSteps !== undefined || before <= 0 || warmupSteps >= totalSteps) return [];
      return says(
        `a decay of ${plural(options.numDecaySteps, "step")} after ${warmupSteps} of warm-up is longer than the run of ${totalSteps}, so its first ${plural(before, "step")} are left out; lower numDecaySteps`,
      );
    }
    default:
      return [];
  }
}

/** What to say of rates for tensors that the run does not have, once the session says which it has. */
export function idleRates(
  { embeddingLearningRate }: Pick<Resolved, "embeddingLearningRate">,
  { parameterGroups }: SessionInfo,
): string[] {
  const embedding = parameterGroups.find(({ name }) => name === "embedding");
  if (embeddingLearningRate === null || embedding === undefined || embedding.parameters > 0) return [];
  return [
    `embeddingLearningRate ${embeddingLearningRate} has no effect: no embedding is trained with the adapter; modulesToSave embed_tokens or lm_head trains one, targetModules embed_tokens adapts it`,
  ];
}
