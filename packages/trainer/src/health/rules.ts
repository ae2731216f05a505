// The rules of a run's health, and those of one's own beside them.
import { OptionError } from "@tunesmith/core";
import { cutAnswers, emptyAnswers, equalAnswers, repeatedNgrams } from "./answers.ts";
import { gradientNorm, gradientNormGrowing } from "./gradient-norm.ts";
import { learningRate } from "./learning-rate.ts";
import { lossNotFalling } from "./loss-not-falling.ts";
import { lossSpike } from "./loss-spike.ts";
import { memoryNearLimit } from "./memory.ts";
import { overfitting } from "./overfitting.ts";
import type { HealthFinding, HealthRule } from "./rule.ts";
import { untrainedTokens } from "./untrained-tokens.ts";
import { waitingForData } from "./waiting-for-data.ts";

/** The rules that every run has. */
export const healthRules: readonly HealthRule[] = [
  learningRate,
  untrainedTokens,
  lossSpike,
  lossNotFalling,
  gradientNorm,
  gradientNormGrowing,
  overfitting,
  repeatedNgrams,
  cutAnswers,
  emptyAnswers,
  equalAnswers,
  waitingForData,
  memoryNearLimit,
];

/** Rules as a program gives them, checked. Throws `OptionError`. */
export function parseHealthRules(given: unknown): readonly HealthRule[] {
  const refuse = (place: string, expected: string, got: unknown): never => {
    const shown = typeof got === "string" ? JSON.stringify(got) : typeof got;
    throw new OptionError(`[${place}] expected ${expected}, got ${shown}; give { name, check }`);
  };
  if (!Array.isArray(given)) return refuse("healthRules", "a list of rules", given);
  const names = new Set<string>();
  for (const [n, rule] of (given as Partial<HealthRule>[]).entries()) {
    const place = `healthRules[${n}]`;
    if (typeof rule !== "object" || rule === null) refuse(place, "a rule", rule);
    if (typeof rule.name !== "string" || rule.name === "") refuse(`${place}.name`, "a name", rule.name);
    if (typeof rule.check !== "function") refuse(`${place}.check`, "a function", rule.check);
    if (names.has(rule.name as string)) refuse(`${place}.name`, "a name that no other rule has", rule.name);
    names.add(rule.name as string);
  }
  return given as HealthRule[];
}

/** What a rule gave, checked: a program's own may give anything. Throws an `Error` that says what is wrong. */
export function parseFinding(given: unknown): HealthFinding | null {
  if (given === null || given === undefined) return null;
  if (typeof given === "object" && "then" in given) throw new Error("a promise; a rule answers at once");
  const { message, value, remedy, rows = [] } = given as Partial<HealthFinding>;
  if (typeof message !== "string" || typeof remedy !== "string" || typeof value !== "number")
    throw new Error("a finding without the texts message and remedy and the number value");
  if (!Array.isArray(rows) || !rows.every(Number.isInteger)) throw new Error("rows that are no list of row ids");
  return given as HealthFinding;
}

/** The rules of a run: those of every run, of its recipe and of one's own, which take the place of others of their name. */
export function rulesOf(own: readonly HealthRule[], ofRecipe: readonly HealthRule[] = []): readonly HealthRule[] {
  const names = new Set(own.map(({ name }) => name));
  return [...[...healthRules, ...ofRecipe].filter(({ name }) => !names.has(name)), ...own];
}
