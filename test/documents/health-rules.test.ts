// The table in docs/health.md has every rule of a run's health, in their order.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { healthRules } from "@tunesmith/sdk";
import { expect, test } from "vitest";
import { preferenceRules } from "../../packages/trainer/src/health/preferences.ts";
import { rewardRules } from "../../packages/trainer/src/health/rewards.ts";

test("the page lists the rules that there are", () => {
  const page = readFileSync(fileURLToPath(new URL("../../docs/health.md", import.meta.url)), "utf8");
  const listed = [...page.matchAll(/^\| `([\w-]+)` \|/gmu)].map(([, name]) => name);
  const rules = [...healthRules, ...preferenceRules({ beta: 0.1 }), ...rewardRules()];
  expect(listed).toEqual(rules.map(({ name }) => name));
});
