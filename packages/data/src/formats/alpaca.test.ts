import { expect, test } from "vitest";
import type { PairItem } from "../encode/pair.ts";
import { conversationsOf, plainTokenizer, prepareRows, trainedTexts } from "../testing/prepare-rows.ts";

/** The prompts of rows where the tokenizer has no chat template. */
async function prompts(...rows: Record<string, unknown>[]): Promise<string[]> {
  const { items } = await prepareRows(rows, {}, plainTokenizer);
  return items.map(({ value }) => (value as PairItem).prompt);
}

const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });

test("an instruction becomes a conversation, its input a line of its own", async () => {
  const rows = [
    { instruction: "a", input: "b", output: "c" },
    { instruction: "a", input: "", output: "c", system: null, history: null },
    { instruction: "a", output: "c", system: "s", history: [["d", "e"]] },
  ];
  expect(await conversationsOf(rows)).toEqual([
    { messages: [user("a\nb"), assistant("c")] },
    { messages: [user("a"), assistant("c")] },
    { messages: [{ role: "system", content: "s" }, user("d"), assistant("e"), user("a"), assistant("c")] },
  ]);
  const { report } = await prepareRows([{ ...rows[0], text: "all of it" }]);
  expect([report.format, report.ignoredColumns]).toEqual(["alpaca", ["text"]]);
  expect(await trainedTexts(rows.slice(2))).toEqual(["_______e$____c$"]);
});

test("without a chat template the prompt is that of Stanford's Alpaca, to the letter", async () => {
  expect(
    await prompts(
      { instruction: "Add.", input: "1 and 2", output: "3" },
      { instruction: "Say hello.", input: "", output: "Hello." },
      { instruction: "a", output: "b", system: "Be short.", history: [["c", "d"]] },
    ),
  ).toEqual([
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 and 2\n\n### Response:",
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nSay hello.\n\n### Response:",
    "Be short.\n\n### Instruction:\nc\n\n### Response:d\n\n### Instruction:\na\n\n### Response:",
  ]);
  const [trained] = await trainedTexts([{ instruction: "a", output: "b" }], {}, plainTokenizer);
  expect(trained).toMatch(/^_+b\$$/u);
});

test.each<[object, RegExp]>([
  [{ instruction: 1, output: "b" }, /expected a string in column "instruction", got a number/u],
  [{ instruction: "a", output: null }, /expected a string in column "output", got null/u],
  [{ instruction: "a", output: "b", input: {} }, /expected a string in column "input", got an object/u],
  [{ instruction: "a", output: "b", system: 1 }, /expected a string in column "system", got a number/u],
  [{ instruction: "a", output: "b", history: "c" }, /list of \[prompt, answer\] in column "history", got a string/u],
  [{ instruction: "a", output: "b", history: [["c"]] }, /two texts, .* in history\[0\], got an array/u],
  [{ instruction: "a", output: "b", history: [["c", "d", "e"]] }, /in history\[0\]/u],
  [{ instruction: "a", output: "b", history: [{ a: 1 }] }, /in history\[0\], got an object/u],
  [{ instruction: "a", output: "\ud800" }, /half of a surrogate pair/u],
])("%j is refused", async (row, message) => {
  await expect(prepareRows([row as Record<string, unknown>])).rejects.toThrow(message);
});
