// `misc/schedules*.json`: the learning rate of every step.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseOptions, type SchedulerOptions, schedulerOptions, sftConfigSchema } from "@tunesmith/core";
import { learningRateAt, type Schedule } from "../../../packages/trainer/src/loop/schedule.ts";
import { firstWatchState, watch } from "../../../packages/trainer/src/loop/watching-schedule.ts";
import { measured, type Outcome, relative, unsupported } from "../outcome.ts";

interface Case {
  lr_scheduler_type: string;
  kwargs: Record<string, unknown>;
  learning_rate: number;
  warmup_steps: number;
  total_steps: number;
  lrs: number[];
  /** What an evaluation after each step has given. */
  metrics?: number[];
}

/** `misc/schedules*.json`: the learning rate of every step. */
export async function schedules(root: string): Promise<Outcome[]> {
  const dir = join(root, "misc");
  if (!existsSync(dir)) return [];
  const files = readdirSync(dir).filter((name) => /^schedules\d*\.json$/u.test(name));
  return files.sort().flatMap((file) =>
    (JSON.parse(readFileSync(join(dir, file), "utf8")) as Case[]).map((entry, index) => {
      const name = `misc/${basename(file, ".json")}/${index}-${entry.lr_scheduler_type}`;
      const types: readonly string[] = sftConfigSchema.shape.lrSchedulerType.def.innerType.options;
      if (!types.includes(entry.lr_scheduler_type)) return unsupported(name, "schedule");
      const errors = ratesOf(entry).map((rate, step) => relative(rate, entry.lrs[step] as number));
      return measured(name, Math.max(...errors), 1e-9);
    }),
  );
}

function ratesOf({ lr_scheduler_type: type, kwargs, learning_rate: learningRate, ...entry }: Case): number[] {
  const args = parseOptions(sftConfigSchema, { lrSchedulerType: type, lrSchedulerKwargs: kwargs });
  const options: SchedulerOptions = schedulerOptions(args);
  const span = { warmupSteps: entry.warmup_steps, totalSteps: entry.total_steps };
  const schedule: Schedule = { options, learningRate, ...span, warmsUpItself: false, afterStep: 0 };
  const state = firstWatchState(options, [learningRate]);
  return entry.lrs.map((_, step) => {
    if (state === null) return learningRateAt(step + 1, schedule);
    const [rate = Number.NaN] = state.rates;
    watch(options, state, [learningRate], entry.metrics?.[step] ?? Number.NaN);
    return rate;
  });
}
