// The table in docs/health.md has every rule of a run's health, in their order.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { healthRules } from "@tunesmith/sdk";
import { expect, test } from "vitest";

test("the page lists the rules that there are", () => {
  const page = readFileSync(fileURLToPath(new URL("../../docs/health.md", import.meta.url)), "utf8");
  const listed = [...page.matchAll(/^\| `([\w-]+)` \|/gmu)].map(([, name]) => name);
  expect(listed).toEqual(healthRules.map(({ name }) => name));
});
