import { expect, test } from "vitest";
import { ofType, record } from "../testing/record.ts";
import { trainer } from "../testing/sft-trainer.ts";

const args = { maxLength: 100, maxSteps: 2, saveStrategy: "no", trainSamplingStrategy: "sequential" };

/** The events of a run with these options. */
async function run(more: object) {
  const { trainer: made } = await trainer({ ...args, ...more });
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  return events;
}

const prepared = async (more: object) => ofType(await run(more), "prepared")[0];

test("packed, a step sees more rows, and the report says what became of the tokens", async () => {
  const [plain, packed] = [await prepared({}), await prepared({ packing: true })];
  expect(plain?.data.packing).toBeUndefined();
  const packing = packed?.data.packing;
  expect(packing).toMatchObject({
    strategy: "bfd",
    cutTokens: 0,
    splitTokens: 0,
    keptTokens: packed?.data.tokens.total,
  });
  expect(packing?.rows).toBeLessThan(packed?.data.kept ?? 0);
  expect(packing?.fillRate).toBeGreaterThan(0.5);
  // As packing says, unless the evaluation set is asked for apart.
  expect(packed?.evalData?.packing?.rows).toBeGreaterThan(0);
  expect((await prepared({ packing: true, evalPacking: false }))?.evalData?.packing).toBeUndefined();
});

test("an example loses the same in a packed row as alone", async () => {
  const one = { maxSteps: 1, perDeviceTrainBatchSize: 1000, gradientAccumulationSteps: 1 };
  const losses = [];
  for (const more of [{}, { packing: true }, { packing: true, packingStrategy: "best_fit" }])
    losses.push(ofType(await run({ ...one, ...more }), "step")[0]?.loss);
  expect(losses[1]).toBeCloseTo(losses[0] ?? 0, 12);
  expect(losses[2]).toBeCloseTo(losses[0] ?? 0, 12);
});

test("strategies that split say so; the others cut what is longer than a row", async () => {
  const short = { packing: true, maxLength: 10 };
  const split = await run({ ...short, packingStrategy: "wrapped" });
  expect(ofType(split, "prepared")[0]?.data).toMatchObject({ truncated: 0, packing: { cutTokens: 0 } });
  expect(
    ofType(split, "warning")
      .map(({ message }) => message)
      .join(),
  ).toMatch(/packing wrapped splits \d+ rows/u);
  const cut = await prepared({ ...short, truncationMode: "keep_end" });
  expect(cut?.data.cutTokens.prompt).toBeGreaterThan(0);
  expect(cut?.data.packing?.cutTokens).toBe(0);
});

test("packing options without packing have no effect, and that is said", async () => {
  const warnings = ofType(await run({ packingStrategy: "wrapped" }), "warning");
  expect(warnings.map(({ message }) => message).join()).toMatch(
    /packingStrategy "wrapped" has no effect: packing is off/u,
  );
});
