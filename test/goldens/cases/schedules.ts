// `misc/schedules.json`: the learning rate of every step.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sftConfigSchema } from "@tunesmith/core";
import { learningRateAt, type Schedule } from "../../../packages/trainer/src/loop/schedule.ts";
import { measured, type Outcome, relative, unsupported } from "../outcome.ts";

interface Case {
  lr_scheduler_type: string;
  kwargs: Record<string, unknown>;
  learning_rate: number;
  warmup_steps: number;
  total_steps: number;
  lrs: number[];
}

/** `misc/schedules.json`: the learning rate of every step. */
export async function schedules(root: string): Promise<Outcome[]> {
  const path = join(root, "misc/schedules.json");
  if (!existsSync(path)) return [];
  const types = sftConfigSchema.shape.lrSchedulerType.def.innerType.options as readonly string[];
  return (JSON.parse(readFileSync(path, "utf8")) as Case[]).map((entry, index) => {
    const name = `misc/schedules/${index}-${entry.lr_scheduler_type}`;
    if (!types.includes(entry.lr_scheduler_type) || Object.keys(entry.kwargs).length > 0)
      return unsupported(name, "schedule");
    const schedule: Schedule = {
      type: entry.lr_scheduler_type as Schedule["type"],
      learningRate: entry.learning_rate,
      warmupSteps: entry.warmup_steps,
      totalSteps: entry.total_steps,
    };
    const errors = entry.lrs.map((rate, step) => relative(learningRateAt(step + 1, schedule), rate));
    return measured(name, Math.max(...errors), 1e-9);
  });
}
