import { collate, type Example, IGNORE_INDEX } from "@tunesmith/data";
import { expect, test } from "vitest";
import { turns } from "../../../core/src/testing/event-loop-turns.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { rowScores } from "./row-scores.ts";

const session = await fakeModel().createGenerator();

/** A sequence of ids, of which those from one on are trained. */
function example(ids: readonly number[], from: number, weights?: readonly number[]): Example {
  const labels = Int32Array.from(ids, (id, t) => (t < from ? IGNORE_INDEX : id));
  const weighed = weights === undefined ? {} : { weights: Float32Array.from(weights) };
  return { ids: Int32Array.from(ids), labels, turns: 2, length: ids.length, rowId: 0, truncated: false, ...weighed };
}

/** Mean loss of sequences that go through the model alone. */
async function lossOf(...sequences: Example[]): Promise<number> {
  let [loss, weight] = [0, 0];
  for (const one of sequences) {
    const { lossSum, weightSum } = await session.evaluate(collate([{ example: one, microBatch: 0 }]));
    loss += lossSum[0] as number;
    weight += weightSum[0] as number;
  }
  return loss / weight;
}

const rows = [
  [example([7, 8, 9, 10, 11], 2)],
  [example([20, 21, 22], 1), example([30, 31, 32, 33], 3)],
  [example([40, 41, 42, 43], 1, [0, 1, 0.5, 0.25])],
];
const measure = (difficulty: "loss" | "ifd", given = rows, tokenBudget = 7) =>
  rowScores(session, { length: given.length, at: (row) => given[row] ?? [] }, { difficulty, tokenBudget });

test("loss is the mean over the trained tokens of a row, of all its sequences, by their weights", async () => {
  const { scores, tokens } = await measure("loss");
  const expected = await Promise.all(rows.map((row) => lossOf(...row)));
  expect(scores).toEqual(Float32Array.from(expected));
  expect(new Set(scores).size).toBe(3);
  expect(tokens).toBe(16);
});

test("ifd is that loss over the one of the answers alone, whose first token counts there for nothing", async () => {
  const { scores, allWhole } = await measure("ifd");
  const alone = [
    [example([9, 10, 11], 0)],
    [example([21, 22], 0), example([33], 0)],
    [example([41, 42, 43], 0, [1, 0.5, 0.25])],
  ];
  const ratios = await Promise.all(
    rows.map(async (row, n) => (await lossOf(...row)) / (await lossOf(...(alone[n] ?? [])))),
  );
  expect(scores).toEqual(Float32Array.from(ratios));
  expect(allWhole).toBe(false);
});

test("how rows are grouped into passes changes nothing, and a longer one has a pass of its own", async () => {
  const whole = await measure("ifd");
  for (const budget of [1, 5, 1000]) expect((await measure("ifd", rows, budget)).scores).toEqual(whole.scores);
});

test("a row of which nothing is trained has no score, nor has one with an answer of one token its ifd", async () => {
  const none = [[example([1, 2], 2)], [], [example([1, 2, 3], 2)]];
  expect([...(await measure("loss", none)).scores].map(Number.isNaN)).toEqual([true, true, false]);
  expect([...(await measure("ifd", none)).scores].map(Number.isNaN)).toEqual([true, true, true]);
  const text = [[example([1, 2, 3], 0)], [example([4, 5, 6], 0)]];
  const { scores, allWhole } = await measure("ifd", text);
  expect([[...scores], allWhole]).toEqual([[1, 1], true]);
});

const many = Array.from({ length: 400 }, (_, n) => [
  example(
    Array.from({ length: 60 }, (_, t) => (n + t) % 99),
    5,
  ),
]);

test("it stops between two passes, and says how far it is", async () => {
  const seen: number[] = [];
  const stop = new AbortController();
  const onRows = async (known: number) => {
    seen.push(known);
    if (known > 200) stop.abort();
  };
  const options = { difficulty: "loss", tokenBudget: 600, signal: stop.signal, onRows } as const;
  await expect(rowScores(session, { length: 400, at: (n) => many[n] ?? [] }, options)).rejects.toThrow(/abort/u);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect([seen.at(0), seen.at(-1)]).toEqual([0, 210]);
});

test("the event loop turns between any two rows that take long", async () => {
  const rows = { length: 400, at: (n: number) => [example([n % 99, 7, 8], 1)] };
  // All in one pass, for a pass of the model lets the loop turn by itself.
  expect(await turns(() => rowScores(session, rows, { difficulty: "ifd", tokenBudget: 1e6 }))).toBeGreaterThanOrEqual(
    400,
  );
});
