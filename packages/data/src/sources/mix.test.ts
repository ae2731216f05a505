import { OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { prepareRows } from "../testing/prepare-rows.ts";
import { readAll, rowsFile } from "../testing/read-rows.ts";
import { mixDatasets, originOf } from "./mix.ts";

const rows = (name: string, count: number) => Array.from({ length: count }, (_, n) => ({ text: `${name}${n}` }));
const texts = async (mix: ReturnType<typeof mixDatasets>) =>
  (await readAll(mix)).map(({ fields }) => fields.text as string);

test("rows come by weight, in an order that follows from the seed, each data set's in its own", async () => {
  const entries = [
    { dataset: rows("a", 10_000), weight: 3 },
    { dataset: rows("b", 10_000), weight: 1 },
  ];
  const found = await texts(mixDatasets(entries));
  expect(found).toEqual(await texts(mixDatasets(entries)));
  expect(found).not.toEqual(await texts(mixDatasets(entries, { seed: 7 })));
  for (const end of [1000, found.length])
    expect(found.slice(0, end).filter((text) => text.startsWith("a")).length / end).toBeCloseTo(0.75, 1);
  const own = found.filter((text) => text.startsWith("b"));
  expect(own).toEqual(rows("b", own.length).map(({ text }) => text));
});

test("a mix ends with the first data set that ends, or when all have been read", async () => {
  const entries = [{ dataset: rows("a", 3) }, { dataset: rows("b", 40) }];
  const first = await texts(mixDatasets(entries));
  expect(first.filter((text) => text.startsWith("a"))).toEqual(["a0", "a1", "a2"]);
  expect(first.at(-1)).toBe("a2");
  const all = await readAll(mixDatasets(entries, { stopping: "all_exhausted" }));
  const of = (letter: string) => all.filter(({ fields }) => String(fields.text).startsWith(letter));
  expect(of("b")).toHaveLength(40);
  expect(of("a").length).toBeGreaterThan(6);
  expect(
    of("a")
      .slice(0, 5)
      .map(({ fields, line, repeated }) => [fields.text, line, repeated]),
  ).toEqual([
    ["a0", 1, false],
    ["a1", 2, false],
    ["a2", 3, false],
    ["a0", 1, true],
    ["a1", 2, true],
  ]);
  const once = await texts(
    mixDatasets([...entries, { dataset: [] }], { stopping: "all_exhausted_without_replacement" }),
  );
  expect([...once].sort()).toEqual([...rows("a", 3), ...rows("b", 40)].map(({ text }) => text).sort());
});

test("raw text stands beside conversations, each in its format, and the report has the share of each", async () => {
  const chat = {
    messages: [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ],
  };
  const path = await rowsFile('{"text":"raw"}\n'.repeat(30));
  const mix = mixDatasets(
    [
      { dataset: [chat, chat], weight: 0.5 },
      { dataset: path, weight: 0.5 },
    ],
    { stopping: "all_exhausted" },
  );
  const { report, locate } = await prepareRows(mix);
  expect(report).toMatchObject({
    source: `mix of entry 1, ${path}`,
    format: "messages, text",
    // Of the rows that were read once; reading some again is what the mix is for.
    duplicates: 30,
    parts: [
      { source: "entry 1", weight: 0.5, format: "messages" },
      { source: path, weight: 0.5, format: "text", kept: 30, trainedTokens: 90 },
    ],
  });
  const [first, second] = report.parts ?? [];
  expect((first?.share ?? 0) + (second?.share ?? 0)).toBe(1);
  expect([locate(0), locate(1), locate(2)].some((place) => place.startsWith(`${path}:`))).toBe(true);
});

test("errors name the entry and its row, and a configuration file can name files", async () => {
  const mix = mixDatasets([{ dataset: rows("a", 1) }, { dataset: [7 as never] }], { stopping: "all_exhausted" });
  await expect(readAll(mix)).rejects.toThrow(/memory\[1\]:1: expected an object with the row's columns, got "7"/u);
  expect(originOf(mixDatasets([{ dataset: "a.jsonl", weight: 2 }, { dataset: "b.csv" }]))).toEqual([
    { path: "a.jsonl", weight: 2 },
    { path: "b.csv", weight: 1 },
  ]);
  expect(originOf(mix)).toBeNull();
});

test("what cannot be mixed is refused", () => {
  const wrong: [() => unknown, RegExp][] = [
    [() => mixDatasets([]), /a list of \{ dataset, weight \}/u],
    [() => mixDatasets([{ dataset: "a", weight: 0 }]), /weights above 0, got 0/u],
    [() => mixDatasets([{ dataset: 7 as never }]), /a data set in each entry, got 7/u],
    [() => mixDatasets([{ dataset: mixDatasets([{ dataset: "a" }]) }]), /no mixes themselves/u],
    [() => mixDatasets([{ dataset: "a" }], { stopping: "never" as never }), /one of first_exhausted.*got never/u],
    [
      () => mixDatasets([{ dataset: new Set([{}]) }], { stopping: "all_exhausted" }),
      /files or arrays.*collect its rows/u,
    ],
  ];
  for (const [work, message] of wrong) {
    expect(work).toThrow(message);
    expect(work).toThrow(OptionError);
  }
});
