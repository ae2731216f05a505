import { afterEach, expect, test, vi } from "vitest";
import { fakeModel } from "../testing/fake-session.ts";
import { gib, plan } from "../testing/memory-plan.ts";
import { measureSpeed } from "./measure-speed.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** A clock: the n-th pass takes n seconds, one of the three that warm up ten times as long, and an update half a second. */
function calls() {
  const made: string[] = [];
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const onCall = (name: string) => {
    made.push(name);
    const passes = made.filter((call) => call === "accumulate").length;
    if (name === "accumulate") now += 1000 * passes * (passes <= 3 ? 10 : 1);
    if (name === "update") now += 500;
  };
  return { made, onCall };
}

test("measures passes and updates after three that warm up, and joins them to a step", async () => {
  const { made, onCall } = calls();
  const args = {
    maxLength: 64,
    tokenBudget: 300,
    perDeviceTrainBatchSize: 4,
    gradientAccumulationSteps: 2,
    maxSteps: 10,
  };
  expect(await measureSpeed(fakeModel({ onCall }), { args })).toEqual({
    device: "fake",
    rows: 4,
    rowTokens: 64,
    warmPasses: 3,
    measuredPasses: 5,
    passSeconds: 6,
    updateSeconds: 0.5,
    // Eight rows are two passes.
    stepRows: 8,
    stepSeconds: 12.5,
    runSeconds: 125,
    tokensPerSecond: (8 * 64) / 12.5,
    peakBytes: expect.any(Number),
  });
  expect(made).toEqual(["createSession", ...Array(8).fill(["accumulate", "update"]).flat(), "dispose"]);
});

test("takes rows by tokens where the options do, and one that is longer than they allow alone", async () => {
  const { onCall } = calls();
  const rows = async (maxTokensPerBatch: number) => {
    const measured = await measureSpeed(fakeModel({ onCall }), { args: { maxLength: 64, maxTokensPerBatch } });
    return [measured.rows, measured.stepRows];
  };
  expect([await rows(200), await rows(10)]).toEqual([
    [3, 3],
    [1, 1],
  ]);
});

test("reads no weights where the run does not fit", async () => {
  const { made, onCall } = calls();
  const model = fakeModel({ onCall, plan: { ...plan, peak: 2 ** 20 * gib } });
  await expect(measureSpeed(model)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
  expect(made).toEqual([]);
});
