import { OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import type { ItemKind } from "../encode/item.ts";
import { IGNORE_INDEX } from "../encode/mask.ts";
import { prepare } from "../prepare/prepare.ts";
import { type Format, RowError } from "./format.ts";
import { formats } from "./index.ts";

const options = { name: "rows", datasetTextField: "text", maxLength: null, assistantOnlyLoss: true } as const;

/** A format with a kind of item of its own: rows that hold ids, of which the even ones are trained. */
const evenKind: ItemKind<number[]> = {
  encode: async (values) =>
    values.map((value) => {
      const ids = Int32Array.from(value);
      return { ids, labels: ids.map((id) => (id % 2 === 0 ? id : IGNORE_INDEX)), turns: 1, prefixMismatch: false };
    }),
  prompt: async () => null,
};
const even: Format = {
  name: "even",
  columns: () => ["ids"],
  optionalColumns: [],
  read({ fields }) {
    if (!Array.isArray(fields.ids)) throw new RowError('expected ids in column "ids", got others; give a list');
    return { kind: evenKind, value: fields.ids };
  },
};

test("a format with a kind of its own needs nothing but itself", async () => {
  const rows = [{ ids: [1, 2, 3, 4], note: "" }, { ids: [8, 6] }];
  const known = [even, ...formats];
  const settings = { ...options, completionOnlyLoss: null, datasetFormat: "auto", formats: known };
  const { examples, report } = await prepare(rows, letterTokenizer, settings);
  expect(Array.from(examples, ({ labels }) => [...labels])).toEqual([
    [IGNORE_INDEX, 2, IGNORE_INDEX, 4],
    [8, 6],
  ]);
  expect(report).toMatchObject({ format: "even", ignoredColumns: ["note"] });
  await expect(prepare([{ ids: 1 }], letterTokenizer, settings)).rejects.toThrow(
    /rows:1: expected ids in column "ids"/u,
  );
  await expect(prepare([{ id: 1 }], letterTokenizer, settings)).rejects.toThrow(
    /expected the columns "ids", or "input_ids", or "messages"/u,
  );
});

/** A value of every column that some format needs. */
const columns = {
  text: "t",
  input_ids: [1, 2],
  messages: [{ role: "assistant", content: "b" }],
  prompt: "p",
  completion: "c",
  conversations: [{ from: "gpt", value: "b" }],
  instruction: "i",
  output: "o",
};

test.each<[name: string, ...columns: (keyof typeof columns)[]]>([
  ["tokenized", "input_ids"],
  ["tokenized", "messages", "text", "input_ids"],
  ["messages", "messages"],
  ["messages", "text", "prompt", "completion", "conversations", "messages"],
  ["prompt-completion", "prompt", "completion"],
  ["prompt-completion", "prompt", "completion", "conversations", "text"],
  ["sharegpt", "conversations"],
  ["sharegpt", "conversations", "prompt", "instruction", "output"],
  ["alpaca", "instruction", "output"],
  ["alpaca", "text", "output", "instruction", "prompt"],
  ["text", "text"],
  ["text", "prompt", "text", "output"],
])("a row is %s by the columns %s %s %s %s %s", async (name, ...given) => {
  const row = Object.fromEntries(given.map((column) => [column, columns[column]]));
  const settings = { ...options, completionOnlyLoss: null };
  const { report } = await prepare([row], letterTokenizer, { ...settings, datasetFormat: "auto" });
  expect(report.format).toBe(name);
  const forced = await prepare([columns], letterTokenizer, { ...settings, datasetFormat: name });
  expect(forced.report.format).toBe(name);
});

test("tables without lists and nulls hold them as texts", async () => {
  const settings = { ...options, completionOnlyLoss: null, datasetFormat: "auto", keepItems: 1 };
  const one = async (row: Record<string, unknown>) => (await prepare([row], letterTokenizer, settings)).examples.at(0);
  const chat = [
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
  ];
  const text = JSON.stringify(chat);
  const nothing = { tools: "", chat_template_kwargs: "", system: "", history: "" };
  for (const row of [
    { messages: text, ...nothing },
    { conversations: text, ...nothing },
    { instruction: "a", input: "", output: "b", ...nothing },
    { messages: text, tools: '[{"name":"f"}]', chat_template_kwargs: '{"a":1}' },
  ])
    expect(await one(row)).toMatchObject({ ids: (await one({ messages: chat }))?.ids, turns: 2 });
  expect((await one({ instruction: "c", output: "b", history: '[["a","b"]]' }))?.turns).toBe(4);
  expect(await one({ input_ids: "[5, 6, 7]", labels: "[-100, 6, 7]", attention_mask: "" })).toMatchObject({
    ids: Int32Array.of(5, 6, 7),
    labels: Int32Array.of(IGNORE_INDEX, 6, 7),
  });
});

test("a format that is asked for by name must be one", async () => {
  const settings = { ...options, completionOnlyLoss: null, datasetFormat: "txt" };
  const run = prepare([{ text: "a" }], letterTokenizer, settings);
  await expect(run).rejects.toThrow(OptionError);
  await expect(run).rejects.toThrow(/\[datasetFormat\] expected one of "auto", "tokenized".*did you mean "text"\?/u);
});
