import { DataError, OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { prepare } from "../prepare/prepare.ts";
import type { PrepareOptions } from "../prepare/prepare-options.ts";
import { mixDatasets } from "../sources/mix.ts";
import type { DatasetSource } from "../sources/rows.ts";
import { plainOptions } from "../testing/prepare-rows.ts";
import type { FormattingFunc } from "./formatting.ts";

const run = (rows: DatasetSource, options: Partial<PrepareOptions> = {}) =>
  prepare(rows, letterTokenizer, { ...plainOptions, ...options });

/** What each example holds, as text. */
async function texts(rows: DatasetSource, options: Partial<PrepareOptions> = {}): Promise<string[]> {
  return Array.from((await run(rows, options)).examples, ({ ids }) => letterTokenizer.decode(ids));
}

const chat = {
  messages: [
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
  ],
};
const pair = { prompt: "p", completion: "c" };

test("rows of another format than the first are named with both formats and lines", async () => {
  await expect(run([chat, chat, pair])).rejects.toThrow(
    /rows:3: expected rows of one format, got "prompt-completion" \("prompt" \+ "completion"\) here and "messages" \("messages"\) in line 1; put them/u,
  );
  // A richer format in a later row would be lost, a poorer one is a column more.
  await expect(run([pair, { ...pair, ...chat }])).rejects.toThrow(/rows:2: .* got "messages" .* "prompt-completion"/u);
  expect((await run([chat, { ...pair, ...chat }])).report.ignoredColumns).toEqual(["prompt", "completion"]);
  expect((await run([pair, { ...pair, ...chat }], { datasetFormat: "prompt-completion" })).report.kept).toBe(2);
});

test("a misspelt column is named with the one that was meant", async () => {
  await expect(run([{ mesages: [], id: 1 }])).rejects.toThrow(
    /expected the columns .*, got "mesages", "id"; did you mean "messages" for "mesages"\?/u,
  );
  await expect(run([{ prompt: "a", completions: "b" }])).rejects.toThrow(/"prompt-only"/u);
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`column ${n}`, n]));
  await expect(run([many])).rejects.toThrow(/"column 19" and 980 more; rename them/u);
});

test("tables have a value in each column: null is none", async () => {
  const row = { text: null, prompt: null, messages: null };
  expect(
    (
      await run([
        { ...row, ...pair },
        { ...row, ...pair },
      ])
    ).report.format,
  ).toBe("prompt-completion");
  await expect(
    run([
      { ...row, ...pair },
      { ...row, text: "t", completion: null },
    ]),
  ).rejects.toThrow(/rows:2: expected rows of one format, got "text" .* "prompt-completion"/u);
  await expect(run([pair, { prompt: "p", completion: null }])).rejects.toThrow(
    /rows:2: expected a string in column "completion", got null/u,
  );
  await expect(run([{ text: null }])).rejects.toThrow(/expected a string in column "text", got null/u);
});

test("columns are renamed before a format looks at them", async () => {
  const columns = { prompt: "question", completion: "answer" };
  const { report, examples } = await run([{ question: "q", answer: "a", id: 1 }], { columns });
  expect([report.format, report.ignoredColumns]).toEqual(["prompt-completion", ["id"]]);
  expect(letterTokenizer.decode(examples.at(0).ids)).toBe("qa");
  expect(await texts([{ body: "t" }], { columns: { text: "body" } })).toEqual(["t"]);
  // Names may change places.
  expect(await texts([pair], { columns: { prompt: "completion", completion: "prompt" } })).toEqual(["cp"]);
});

test("a data set that has the names already, and one of a mix that has none of them, are left as they are", async () => {
  const columns = { prompt: "question", completion: "answer" };
  expect(await texts([pair], { columns })).toEqual(["pc"]);
  const sets = [{ dataset: [{ question: "q", answer: "a" }] }, { dataset: [{ text: "t" }] }];
  const mix = mixDatasets(sets, { stopping: "all_exhausted_without_replacement" });
  expect((await texts(mix, { columns })).sort()).toEqual(["qa", "t"]);
  await expect(run([{ text: "t" }], { columns })).rejects.toThrow(/rows:1: expected the column "question"/u);
});

test("a column that is not there, and two of one name, are errors with the nearest name", async () => {
  const named = (columns: Record<string, string>, row: Record<string, unknown> = { question: "q", answer: "a" }) =>
    run([row], { columns });
  await expect(named({ prompt: "questoin", completion: "answer" })).rejects.toThrow(
    /rows:1: expected the column "questoin", which columns takes for "prompt", got "question", "answer"; did you mean "question"\?/u,
  );
  await expect(named({ promt: "question" })).rejects.toThrow(/\[columns\] .* got "promt"; did you mean "prompt"\?/u);
  await expect(named({ promt: "question" })).rejects.toThrow(OptionError);
  await expect(named({ prompt: "question", completion: "question" })).rejects.toThrow(OptionError);
  await expect(named({ prompt: "question" }, { ...pair, question: "q" })).rejects.toThrow(
    /rows:1: expected one column "prompt", got one of this name beside "question"/u,
  );
});

test("formattingFunc makes of a row a text or a row of any format", async () => {
  const rows = [{ q: "ab", a: "c" }];
  expect(await texts(rows, { formattingFunc: ({ q, a }) => `${q}-${a}` })).toEqual(["ab-c"]);
  expect(await texts(rows, { formattingFunc: () => "x", datasetTextField: "body" })).toEqual(["x"]);
  expect(await texts(rows, { formattingFunc: async ({ q, a }) => ({ prompt: q, completion: a }) })).toEqual(["abc"]);
  const { report } = await run(rows, { formattingFunc: () => chat });
  expect(report.format).toBe("messages");
});

test("a formattingFunc that throws or gives something else is an error of the row", async () => {
  const failing = (given: () => unknown) =>
    run([{ q: 1 }, { q: 2 }], { formattingFunc: ({ q }) => (q === 1 ? "t" : (given() as string)) });
  await expect(failing(() => ["a"])).rejects.toThrow(
    /rows:2: expected formattingFunc to give a text or a row of columns, got an array; return one/u,
  );
  await expect(failing(() => undefined)).rejects.toThrow(/rows:2: .*got nothing/u);
  const thrown = failing(() => {
    throw new TypeError("no such field");
  });
  await expect(thrown).rejects.toThrow(/rows:2: .* got TypeError: no such field; correct/u);
  await expect(thrown).rejects.toThrow(DataError);
  for (const [cause, words] of [
    ["as it is", /got "as it is"; correct/u],
    [Object.create(null), /got an object; correct/u],
    [undefined, /got nothing; correct/u],
  ] as const) {
    const odd = failing(() => {
      throw cause;
    });
    await expect(odd).rejects.toThrow(words);
  }
});

test("bad rows of every kind are skipped where asked, with place and reason", async () => {
  const refused = { messages: [{ role: "assistant", content: "broken" }] };
  const beyond = { messages: [{ role: "user", content: "a" }, chat.messages[1]] };
  const rows = [{ id: 1 }, chat, { messages: 1 }, refused, pair, beyond, 7 as unknown as object, chat];
  const { report, examples, locate } = await run(rows as (typeof chat)[], { onBadRow: "skip" });
  expect(Array.from(examples, ({ rowId }) => locate(rowId))).toEqual(["rows:2", "rows:6", "rows:8"]);
  expect([report.rows, report.kept, report.skipped.count]).toEqual([3, 3, 5]);
  expect(report.skipped.first.map(({ place }) => place).sort()).toEqual([
    "rows:1",
    "rows:3",
    "rows:4",
    "rows:5",
    "rows:7",
  ]);
  const many = await run([chat, ...new Array(20).fill({ messages: [] })], { onBadRow: "skip" });
  expect([many.report.skipped.count, many.report.skipped.first.length]).toEqual([20, 10]);
  expect(many.report.skipped.first[0]?.reason).toMatch(/expected a list of messages/u);
});

test("where every row is bad nothing is left to skip to", async () => {
  const skip = { onBadRow: "skip" } as const;
  await expect(run([{ id: 1 }, { id: 2 }], skip)).rejects.toThrow(/2 rows cannot be used:\n {2}rows:1: expected the/u);
  await expect(run([{ messages: [] }], skip)).rejects.toThrow(DataError);
});

test("a function is called once for each row, for those that are watched as well", async () => {
  const calls: unknown[] = [];
  const formattingFunc: FormattingFunc = ({ q }) => {
    calls.push(q);
    return { prompt: String(q), completion: "a" };
  };
  const { items } = await run([{ q: 1 }, { q: 2 }, { q: 3 }], { formattingFunc, keepItems: 2 });
  expect([items.length, calls]).toEqual([2, [1, 2, 3]]);
});
