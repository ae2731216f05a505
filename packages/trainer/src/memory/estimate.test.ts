import { loraConfigSchema, parseOptions, sftConfigSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import { fakeModel } from "../testing/fake-session.ts";
import { gib, plan } from "../testing/memory-plan.ts";
import { decideCheckpointing } from "./estimate.ts";

test("recomputes layers under auto only where the run would not fit without", async () => {
  const model = fakeModel({ plan, checkpointedPlan: { ...plan, activations: gib / 4, peak: 4.25 * gib } });
  const decide = (gradientCheckpointing: boolean | "auto", free: number) =>
    decideCheckpointing(
      model,
      parseOptions(sftConfigSchema, { gradientCheckpointing }),
      parseOptions(loraConfigSchema, {}),
      { tokens: 1024, longest: 512, supervised: 1024 },
      free,
    );
  expect(await decide("auto", 6 * gib)).toBe(false);
  expect(await decide("auto", 4.5 * gib)).toBe(true);
  expect([await decide(true, 6 * gib), await decide(false, 0)]).toEqual([true, false]);
});
