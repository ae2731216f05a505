// `trl/dpo/refused.json`: combinations of options that TRL's DPOTrainer takes and refuses.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { dpoConfigSchema, OptionError, parseOptions } from "@tunesmith/core";
import { lossSettings } from "../../../packages/trainer/src/dpo/loss-settings.ts";
import { measured, type Outcome } from "../outcome.ts";

type Options = Record<string, unknown>;

/** `trl/dpo/refused.json`; what crashes there may be either. */
export async function dpoRefused(root: string): Promise<Outcome[]> {
  const path = join(root, "trl/dpo/refused.json");
  if (!existsSync(path)) return [];
  const cases = JSON.parse(readFileSync(path, "utf8")) as Record<"accepted" | "refused", Options[]>;
  const wrong = (list: readonly Options[], isRefused: boolean) =>
    list.filter((options) => refuses(options) !== isRefused).length;
  return [
    measured("trl/dpo/refused/accepted", wrong(cases.accepted, false), 0),
    measured("trl/dpo/refused/refused", wrong(cases.refused, true), 0),
  ];
}

function refuses(options: Options): boolean {
  try {
    lossSettings(parseOptions(dpoConfigSchema, options));
    return false;
  } catch (error) {
    if (error instanceof OptionError) return true;
    throw error;
  }
}
