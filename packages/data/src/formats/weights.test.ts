import { expect, test } from "vitest";
import { IGNORE_INDEX } from "../encode/mask.ts";
import { prepareRows } from "../testing/prepare-rows.ts";

type Row = Record<string, unknown>;

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string, more: object = {}) => ({ role: "assistant", content, ...more });

/** Weight of each token of each row, 0 where it has no label. */
async function weightsOf(rows: Row[], options: Parameters<typeof prepareRows>[1] = {}): Promise<number[][]> {
  const { examples } = await prepareRows(rows, options);
  return Array.from(examples, ({ labels, weights }) =>
    Array.from(labels, (label, t) => (label === IGNORE_INDEX ? 0 : (weights?.[t] ?? 1))),
  );
}

test("a row's weight is that of its trained tokens, in every format", async () => {
  const rows: Row[][] = [
    [{ messages: [user("a"), assistant("b")] }],
    [{ prompt: "abc", completion: "d" }],
    [{ text: "ab" }],
    [{ input_ids: [5, 6, 7], labels: [IGNORE_INDEX, 6, 7] }],
    [{ instruction: "a", output: "b" }],
    [
      {
        conversations: [
          { from: "human", value: "a" },
          { from: "gpt", value: "b" },
        ],
      },
    ],
  ];
  for (const [row = {}] of rows) {
    const [plain = []] = await weightsOf([row]);
    const weighted = await weightsOf([
      { ...row, weight: 0.5 },
      { ...row, weight: null },
      { ...row, weight: 1 },
      // Tables of texts.
      { ...row, weight: " 0.5" },
      { ...row, weight: "" },
    ]);
    const half = plain.map((weight) => weight / 2);
    expect(weighted).toEqual([half, plain, plain, half, plain]);
  }
});

test("a row of weight 0 is left out and counted", async () => {
  const { examples, report } = await prepareRows([
    { text: "ab", weight: 0 },
    { text: "cd", weight: 2 },
  ]);
  expect([examples.length, report.dropped, report.lossWeights, report.ignoredColumns]).toEqual([
    1,
    [{ source: "rows", line: 1, reason: "no trained token" }],
    { min: 2, max: 2 },
    [],
  ]);
});

test("the weight of an assistant's turn is that of its tokens", async () => {
  const messages = [
    user("a"),
    assistant("b", { weight: 0.5 }),
    user("c"),
    assistant("d", { weight: 0 }),
    assistant("e"),
  ];
  expect(await weightsOf([{ messages }])).toEqual([[0, 0, 0, 0, 0.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 1, 1]]);
  expect(await weightsOf([{ messages, weight: 2 }])).toEqual([[0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 2]]);
});

test("promptLossWeight weighs what is not trained otherwise, but for turns that are taken out", async () => {
  const options = { promptLossWeight: 0.25 };
  const messages = [user("a"), assistant("b", { train: false }), assistant("c")];
  expect(await weightsOf([{ messages }], options)).toEqual([[0.25, 0.25, 0.25, 0.25, 0, 0, 0.25, 1, 1]]);
  expect(await weightsOf([{ prompt: "ab", completion: "c" }], options)).toEqual([[0.25, 0.25, 1, 1]]);
  const conversation = { prompt: [user("a"), assistant("b")], completion: [assistant("c", { weight: 2 })] };
  expect(await weightsOf([conversation], options)).toEqual([[0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 2, 2]]);
  const labels = [IGNORE_INDEX, 6, IGNORE_INDEX];
  expect(await weightsOf([{ input_ids: [5, 6, 7], labels }], options)).toEqual([[0.25, 1, 0.25]]);
});

test("a turn that is taken out stays out where all else is trained", async () => {
  const messages = [user("a"), assistant("b", { train: false }), assistant("c", { weight: 2 })];
  expect(await weightsOf([{ messages }], { assistantOnlyLoss: false })).toEqual([[1, 1, 1, 1, 0, 0, 1, 2, 2]]);
});

test("ids come with a weight each", async () => {
  const row = { input_ids: [5, 6, 7, 8], attention_mask: [0, 1, 1, 1], weights: [9, 0.5, 0, null] };
  expect(await weightsOf([row, { ...row, labels: [5, IGNORE_INDEX, IGNORE_INDEX, 8] }])).toEqual([
    [0.5, 0, 1],
    [0, 0, 1],
  ]);
});

test("weights are cut with their tokens, and another column may hold them", async () => {
  const row = { input_ids: [5, 6, 7, 8], importance: 3, weights: [1, 2, 3, 4] };
  const options = { maxLength: 2, columns: { weight: "importance" } };
  expect(await weightsOf([row], options)).toEqual([[3, 6]]);
  expect(await weightsOf([row], { ...options, truncationMode: "keep_end" })).toEqual([[9, 12]]);
});

test.each<[Row, RegExp]>([
  [{ text: "a", weight: -1 }, /expected a loss weight from 0 in column "weight", got -1/u],
  [{ text: "a", weight: "heavy" }, /in column "weight", got "heavy"/u],
  [{ text: "a", weight: 1e39 }, /in column "weight", got 1e\+39/u],
  [{ messages: [assistant("a", { weight: Number.NaN })] }, /in messages\[0\].weight, got NaN/u],
  [{ messages: [{ ...user("a"), weight: 0.5 }, assistant("b")] }, /expected a weight on turns of the assistant only/u],
  [{ input_ids: [5], weights: [1, 1] }, /expected 1 entries in column "weights"/u],
  [{ input_ids: [5], weights: ["1"] }, /in weights\[0\], got "1"/u],
  [{ input_ids: [5], weights: "1" }, /expected a list of numbers in column "weights", got a string/u],
])("%j is refused", async (row, message) => {
  await expect(prepareRows([row])).rejects.toThrow(message);
});
