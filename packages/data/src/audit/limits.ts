// Checks the limits of an audit.
import { OptionError, type OptionKeys, parseKeys } from "@tunesmith/core";
import type { AuditLimits } from "./finding.ts";

const keys: OptionKeys<Partial<AuditLimits>> = {
  expectedAnswerWords: "optional",
  nearDuplicateThreshold: "optional",
  maxPatternShare: "optional",
  maxClusterShare: "optional",
  minDistinct2: "optional",
  minTrainedShare: "optional",
};

/** The limits that are given, each within its range. */
export function checkedLimits(given: Partial<AuditLimits>): Partial<AuditLimits> {
  const { expectedAnswerWords, ...shares } = parseKeys(keys, given, "auditDataset.limits");
  if (expectedAnswerWords !== undefined && expectedAnswerWords !== null)
    within("expectedAnswerWords", expectedAnswerWords, 0, 1e6);
  for (const [name, share] of Object.entries(shares))
    if (share !== undefined) within(name, share, name === "nearDuplicateThreshold" ? 0.7 : 0, 1);
  return given;
}

function within(name: string, value: unknown, least: number, most: number): void {
  if (typeof value === "number" && value >= least && value <= most) return;
  throw new OptionError(
    `[limits.${name}] expected a number from ${least} to ${most}, got ${String(value)}; correct it`,
  );
}
