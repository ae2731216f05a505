// Orders stay what they were: a run that was stopped by one version goes on in another from a step alone.
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { turns } from "../../core/src/testing/event-loop-turns.ts";
import { createSampler, type SamplerOptions, type SamplingStrategy } from "./create-sampler.ts";
import { customSampler } from "./custom-sampler.ts";
import type { SamplerContext } from "./rows.ts";
import { weightedSampler } from "./weighted.ts";

const plain: Omit<SamplerOptions, "strategy"> = {
  ...{ competenceSteps: null, initialCompetence: 0.01, stages: null, simpleMaxLength: 256, hardShare: 0.2 },
  ...{ difficulty: "length", reverse: false },
};

function contextOf(n: number): SamplerContext {
  const lengths = Int32Array.from({ length: n }, (_, row) => 5 + ((row * 7919) % 997));
  const row = (index: number) => ({
    length: lengths[index] as number,
    turns: 2 + (index % 5),
    trainedTokens: 1 + (index % 7),
    rowIds: [index],
  });
  return { lengths, seed: 3407, batchSize: 16, fixedBatches: true, row };
}

const turned = { difficulty: "turns", reverse: true } as const;

test.each<[SamplingStrategy, object, string]>([
  ["sequential", {}, "a8447ff3c2136ab6"],
  ["random", {}, "c8e4312f20f5ce1a"],
  ["group_by_length", {}, "295454ab0fd13db8"],
  ["staged", {}, "199d14468768f88a"],
  ["staged", turned, "6facdde5db9eb92e"],
  ["competence", {}, "889bfd1f0fe82ca8"],
  ["competence", turned, "a628f87d971333fa"],
])("the first three epochs of 20,000 rows are those of the first version: %s %j", async (strategy, more, digest) => {
  const sampler = await createSampler({ ...plain, ...more, strategy }, contextOf(20_000));
  const hash = createHash("sha256");
  for (const epoch of [0, 1, 2]) hash.update(await sampler.epoch(epoch));
  expect(hash.digest("hex").slice(0, 16)).toBe(digest);
});

test("so is an epoch of rows drawn by weight", async () => {
  const sampler = await customSampler(
    weightedSampler(({ length }) => length % 10),
    contextOf(20_000),
  );
  const digest = createHash("sha256")
    .update(await sampler.epoch(1))
    .digest("hex");
  expect(digest.slice(0, 16)).toBe("3b52436d67227e57");
});

const rows = 40_000;
/** Pieces that a loop over all rows goes in at least. */
const pieces = Math.floor(rows / 16_384);

test.each<[SamplingStrategy, number, number]>([
  // Making it; and its first epoch.
  ["random", 0, pieces],
  // 50 groups of 800 rows.
  ["group_by_length", 0, pieces + 50],
  // Each row is looked at twice, then all are sorted; a pass of the preset's first stage, with hard rows between.
  ["staged", 2 * rows, 2 * pieces],
  ["competence", rows, rows / 16],
])(
  "the event loop turns while an order is made: %s",
  async (strategy, making, epoch) => {
    const context = contextOf(rows);
    expect(await turns(() => createSampler({ ...plain, strategy }, context))).toBeGreaterThanOrEqual(making);
    const sampler = await createSampler({ ...plain, strategy }, context);
    expect(await turns(() => sampler.epoch(0))).toBeGreaterThanOrEqual(epoch);
  },
  30_000,
);
