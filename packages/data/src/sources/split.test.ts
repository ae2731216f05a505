import { DataError, OptionError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { fieldsOf, readAll, rowsFile } from "../testing/read-rows.ts";
import { mixDatasets } from "./mix.ts";
import { type SplitOptions, splitDataset } from "./split.ts";

const rows = (count: number) => Array.from({ length: count }, (_, n) => ({ text: `row ${n}`, user: `user ${n % 7}` }));
const texts = async (source: Parameters<typeof readAll>[0]) =>
  (await fieldsOf(source)).map(({ text }) => text as string);

async function sides(source: Parameters<typeof splitDataset>[0], options: SplitOptions) {
  const { train, test: held } = splitDataset(source, options);
  return { train: await texts(train), test: await texts(held) };
}

test("by chance exactly as many rows are held out as asked for, by the seed, and none is on both sides", async () => {
  const all = rows(101);
  const split = await sides(all, { testSize: 0.1 });
  expect([split.train.length, split.test.length]).toEqual([90, 11]);
  expect([...split.train, ...split.test].sort()).toEqual(all.map(({ text }) => text).sort());
  expect(await sides(all, { testSize: 0.1 })).toEqual(split);
  expect(await sides(all, { testSize: 0.1, seed: 7 })).not.toEqual(split);
  expect((await sides(all, { testSize: 20 })).test).toHaveLength(20);
});

test("by hash a row stays on its side when others are added, and equal rows are on the same", async () => {
  const options: SplitOptions = { testSize: 0.2, splitStrategy: "hash" };
  const before = await sides(rows(500), options);
  const after = await sides([...rows(500).reverse(), ...rows(900)], options);
  expect(before.test.length / 500).toBeCloseTo(0.2, 1);
  expect(before.test.every((text) => after.test.includes(text))).toBe(true);
  expect(after.train.some((text) => after.test.includes(text))).toBe(false);
  expect(await sides(rows(500), { ...options, seed: 7 })).not.toEqual(before);
});

test("a group is never on both sides, by chance or by hash, in files, iterables and mixes", async () => {
  const path = await rowsFile(
    rows(70)
      .map((row) => `${JSON.stringify(row)}\n`)
      .join(""),
  );
  const once = new Set(rows(70));
  const mix = mixDatasets([{ dataset: path }, { dataset: once }], { stopping: "all_exhausted_without_replacement" });
  for (const splitStrategy of ["random", "hash"] as const)
    for (const source of [path, once, mix]) {
      const { train, test: held } = splitDataset(source, { testSize: 0.3, splitBy: "user", splitStrategy });
      const users = async (side: typeof train) => new Set((await fieldsOf(side)).map(({ user }) => user));
      const [trained, evaluated] = [await users(train), await users(held)];
      expect([trained.size + evaluated.size, evaluated.size > 0]).toEqual([7, true]);
    }
});

test("each side has a name, and places are those of the file", async () => {
  const path = await rowsFile('{"text":"a"}\n{"text":"b"}\n{"text":"c"}\n');
  const { train, test: held } = splitDataset(path, { testSize: 1 });
  expect([train.name, held.name]).toEqual([`${path} (train)`, `${path} (test)`]);
  const lines = [...(await readAll(train)), ...(await readAll(held))].map(({ line, source }) => [source, line]);
  expect(lines.sort()).toEqual([1, 2, 3].map((line) => [path, line]));
});

test("a side without rows, a row without its group, and senseless options are refused", async () => {
  const read = async (source: Parameters<typeof splitDataset>[0], options: SplitOptions) => sides(source, options);
  await expect(read(rows(3), { testSize: 3 })).rejects.toThrow(/got none to train on of 3 rows with testSize 3/u);
  await expect(read(rows(7), { testSize: 0.999, splitBy: "user" })).rejects.toThrow(/7 rows in groups by "user"/u);
  await expect(read([{ text: "a" }], { testSize: 0.5, splitStrategy: "hash" })).rejects.toThrow(DataError);
  await expect(read([...rows(5), { text: "a" }], { testSize: 0.5, splitBy: "user" })).rejects.toThrow(
    /memory:6: expected the column "user" \(splitBy\), got nothing/u,
  );
  await expect(read(rows(2), { testSize: 0.5, splitBy: "usr" })).rejects.toThrow(
    /memory:1: expected the column "usr" \(splitBy\), got nothing/u,
  );
  for (const options of [
    { testSize: 0 },
    { testSize: 1.5 },
    { testSize: 3, splitStrategy: "hash" },
    { testSize: 0.1, splitBy: "" },
  ])
    expect(() => splitDataset([], options as SplitOptions)).toThrow(OptionError);
});
