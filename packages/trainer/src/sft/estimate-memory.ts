// What a run of supervised fine-tuning would take, before any row or weight is read.

import {
  type LanguageModel,
  type LoraConfig,
  type OptionKeys,
  type ParsedSFTConfig,
  type PassShape,
  parseKeys,
  parseOptions,
  type SFTConfig,
  sftConfigSchema,
} from "@tunesmith/core";
import { batchLimit } from "../loop/batch-room.ts";
import { decideCheckpointing, estimateSession, type MemoryEstimate } from "../memory/estimate.ts";
import { shortage } from "../memory/shortage.ts";
import { parsePeftConfig } from "../options/peft-config.ts";
import { withPreset } from "../options/preset.ts";
import { sessionOptions } from "../options/session-options.ts";
import { objectiveOf } from "./objective.ts";

/** What {@link estimateMemory} is asked about; the options are those of a run. */
export interface EstimateOptions {
  /** Options of the run. Default: those of `SFTConfig`. */
  args?: SFTConfig;
  /** Options of the adapter. Default: those of `LoraConfig`. */
  peftConfig?: LoraConfig;
  /** The largest pass. Default: as many tokens as `tokenBudget` and the batch of a step allow, in sequences of `maxLength`. */
  pass?: PassShape;
}

const estimateKeys: OptionKeys<EstimateOptions> = { args: "optional", peftConfig: "optional", pass: "optional" };

/**
 * What a run with these options will take, and what is free, before any weight is read. A run plans with its own rows; here, where
 * there are none, every row is taken to be as long as `maxLength` allows, so that no run of these options takes more.
 */
export async function estimateMemory(model: LanguageModel, options: EstimateOptions = {}): Promise<MemoryEstimate> {
  const { args, peft, pass } = settingOf(model, options, "estimateMemory");
  const gradientCheckpointing = await decideCheckpointing(model, args, peft, pass);
  return estimateSession(model, sessionOptions({ ...args, gradientCheckpointing }, peft), pass);
}

/** A run as its options and the model say, and its largest pass. */
export function settingOf(model: LanguageModel, options: EstimateOptions, place: string) {
  const given = parseKeys(estimateKeys, options, place);
  const run = withPreset(given.args ?? {}, given.peftConfig ?? {}, model);
  const args = parseOptions(sftConfigSchema, run.args);
  const peft = parsePeftConfig(run.peftConfig);
  return { args, peft, pass: given.pass ?? fullPass(args, model.info.maxPositionEmbeddings) };
}

/** The largest pass that the options allow: every row as long as it may be. */
export function fullPass(args: ParsedSFTConfig, context: number): PassShape {
  const longest = Math.min(args.maxLength ?? context, context);
  const { rows, tokens: most } = batchLimit(args);
  const step = args.gradientAccumulationSteps * Math.min(rows * longest, Math.max(longest, most));
  const tokens = Math.max(longest, Math.min(args.tokenBudget, step));
  return { tokens, longest, supervised: tokens, objective: objectiveOf(args) };
}

/** What to say of options that do not fit; null where they do. */
export function memoryShortage(
  model: LanguageModel,
  estimate: MemoryEstimate,
  options: EstimateOptions = {},
): string | null {
  const { gradientCheckpointing } = estimate;
  const { args, peft } = settingOf(model, options, "memoryShortage");
  const session = sessionOptions({ ...args, gradientCheckpointing }, peft);
  return shortage(estimate, session, model.weightOptions.loadIn4bit);
}
