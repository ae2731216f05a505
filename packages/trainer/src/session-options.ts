// The session that options ask for.
import type { SessionOptions } from "@tunesmith/core";
import type { ParsedLoraConfig, ParsedSFTConfig } from "./config.ts";

/** The session that options ask for. */
export function sessionOptions(args: ParsedSFTConfig, peft: ParsedLoraConfig): SessionOptions {
  const { r, loraAlpha, targetModules, useRslora, adapterPath, fullFinetuning } = peft;
  const adapter = adapterPath === null ? { r, loraAlpha, targetModules, useRslora } : { path: adapterPath };
  const { adamBeta1, adamBeta2, adamEpsilon, weightDecay, gradientCheckpointing, seed } = args;
  return {
    adapter: fullFinetuning ? null : adapter,
    optimizer: { adamBeta1, adamBeta2, adamEpsilon, weightDecay },
    gradientCheckpointing,
    seed,
  };
}
