import { expect, test } from "vitest";
import { armsOf } from "./arms.ts";

const shared = { model: "m", data: "d.jsonl", evalData: "e.jsonl" };
const values = (sweep: unknown) => armsOf(sweep, shared, "sweep.yaml").map((arm) => arm.values);

test("lists are a product, the last changing fastest, and groups change together", () => {
  expect(
    values({
      learning_rate: [1e-4, 1e-3],
      _: [
        { r: 8, lora_alpha: 16 },
        { r: 16, loraAlpha: 32 },
      ],
    }),
  ).toEqual([
    { learningRate: 1e-4, r: 8, loraAlpha: 16 },
    { learningRate: 1e-4, r: 16, loraAlpha: 32 },
    { learningRate: 1e-3, r: 8, loraAlpha: 16 },
    { learningRate: 1e-3, r: 16, loraAlpha: 32 },
  ]);
  expect(values({ learningRate: { from: 1e-5, to: 1e-3, count: 3 } }).map(({ learningRate }) => learningRate)).toEqual([
    1e-5, 1e-4, 1e-3,
  ]);
  // A list of lists of groups has several of them.
  expect(
    values({
      _: [
        [{ r: 4 }, { r: 8 }],
        [{ seed: 1 }, { seed: 2 }],
      ],
    }),
  ).toHaveLength(4);
  expect(values({ targetModules: [["q_proj"], "all-linear"] })).toEqual([
    { targetModules: ["q_proj"] },
    { targetModules: "all-linear" },
  ]);
  expect(armsOf({ seed: Array.from({ length: 120 }, (_, n) => n) }, shared, "f")[0]?.name).toBe("arm-001");
});

test("what cannot be read, or cannot be compared, is named before anything is trained", () => {
  const wrong: [unknown, string][] = [
    [undefined, "expected options with lists of values below sweep"],
    [{ learningRate: 1e-4 }, 'expected a list of values below sweep, got 0.0001 for "learningRate"'],
    [{ r: { from: 1, to: 2 } }, "expected a list of values"],
    [{ learningRate: { from: 2, to: 1 } }, "[lrSweep] expected rates above 0"],
    [{ lerningRate: [1] }, 'did you mean "learningRate"?'],
    [{ r: [0] }, "[r]"],
    [{ r: [1], _: [{ r: 2 }] }, 'expected "r" once below sweep'],
    [{ _: [{ r: 2 }, { seed: 2 }] }, "the same options in every group"],
    [{ _: [3] }, "a list of groups of options"],
    [{ outputDir: ["a"] }, 'expected "outputDir" for all arms'],
    [{ model: ["a"] }, 'expected "model" in one place'],
  ];
  for (const [sweep, message] of wrong) expect(() => armsOf(sweep, shared, "sweep.yaml"), message).toThrow(message);
});
