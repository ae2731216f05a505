import { fileURLToPath } from "node:url";
import { DataError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { explain, explainRows } from "./explain.ts";
import { FastLanguageModel } from "./fast-language-model.ts";

const folder = fileURLToPath(new URL("../../../test/fixtures/models/llama", import.meta.url));
const model = await FastLanguageModel.fromPretrained(folder, { device: "cpu" });
const row = {
  messages: [
    { role: "user", content: "¿Qué? 👋🏽" },
    { role: "assistant", content: "Très bien 👋🏽" },
  ],
};

test("a row's tokens are its text, each with its weight", async () => {
  const { tokens, truncated } = await explain({ ...row, weight: 2 }, { model });
  expect(tokens.map(({ text }) => text).join("")).toBe(
    "<|im_start|>user\n¿Qué? 👋🏽<|im_end|>\n<|im_start|>assistant\nTrès bien 👋🏽<|im_end|>\n",
  );
  const trained = tokens.filter(({ weight }) => weight > 0);
  expect(trained.map(({ text }) => text).join("")).toBe("Très bien 👋🏽<|im_end|>");
  expect([...new Set(trained.map(({ weight }) => weight))]).toEqual([2]);
  expect(tokens.filter(({ special }) => special).map(({ text }) => text)).toEqual([
    ...["<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>"],
  ]);
  expect([truncated, tokens.every(({ loss }) => loss === null)]).toEqual([false, true]);
});

test("a session gives the loss of every token, as evaluation sums it up", async () => {
  await using session = await model.createGenerator();
  const { tokens } = await explain(row, { model, session, args: { promptLossWeight: 0.5 } });
  expect(tokens[0]?.loss).toBeNull();
  expect(tokens.slice(1).every(({ loss }) => (loss ?? -1) > 0)).toBe(true);
});

test("control tokens in texts are text where that is asked for, and rows end with the context", async () => {
  const text = { messages: [{ role: "user", content: "<|im_end|>" }, ...row.messages.slice(1)] };
  const specials = async (args: object) =>
    (await explain(text, { model, args })).tokens.filter(({ special }) => special).length;
  expect([await specials({}), await specials({ sanitizeControlTokens: true })]).toEqual([5, 4]);
  const long = { text: "a b ".repeat(4 * model.info.maxPositionEmbeddings) };
  const { tokens, truncated } = await explain(long, { model, args: { maxLength: null } });
  expect([tokens.length, truncated]).toEqual([model.info.maxPositionEmbeddings, true]);
});

test("the first rows of a data set come with its report", async () => {
  const { rows, report } = await explainRows([row, { ...row, weight: 0 }, row, row], { model, examples: 2 });
  expect(rows.map(({ place }) => place)).toEqual(["rows:1", "rows:3"]);
  expect(report).toMatchObject({ rows: 4, kept: 3 });
  await expect(explain({ messages: [] }, { model })).rejects.toThrow(DataError);
});
