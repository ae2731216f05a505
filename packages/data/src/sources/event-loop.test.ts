// Rows of all kinds of sources are read in slices, and what is chosen of them stays what it was.
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { expect, test } from "vitest";
import { turns } from "../../../core/src/testing/event-loop-turns.ts";
import { selectRows } from "../audit/select-rows.ts";
import { fieldsOf, readAll, rowsFile } from "../testing/read-rows.ts";
import { RowErrors } from "./row-errors.ts";
import { readRows } from "./rows.ts";
import type { DatasetSource } from "./source.ts";
import { splitDataset } from "./split.ts";

const rows = Array.from({ length: 5000 }, (_, n) => ({
  text: `row ${n} ${"x".repeat((n * 7919) % 97)}`,
  user: `user ${(n * n) % 777}`,
}));
const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join("");

const parquetOf = (options: { rowGroupSize: number }) => {
  const column = (name: "text" | "user") => ({ name, data: rows.map((row) => row[name]), type: "STRING" as const });
  return new Uint8Array(parquetWriteBuffer({ columnData: [column("text"), column("user")], ...options }));
};

test.each<[string, () => Promise<DatasetSource>]>([
  ["JSONL", () => rowsFile(lines)],
  ["JSONL whose lines are no rows", () => rowsFile(`{"text":"a"}\n${"1\n".repeat(5000)}`)],
  ["JSONL in gzip", () => rowsFile(gzipSync(lines), ".jsonl.gz")],
  ["a JSON array", () => rowsFile(JSON.stringify(rows), ".json")],
  ["CSV", () => rowsFile(`text,user\n${rows.map(({ text, user }) => `${text},${user}\n`).join("")}`, ".csv")],
  ["one group of Parquet", () => rowsFile(parquetOf({ rowGroupSize: rows.length }), ".parquet")],
  ["an array", async () => rows],
  ["a generator", async () => rows.values()],
  ["one side of a split", async () => splitDataset(rows, { testSize: 1 }).test],
])("the event loop turns between any two rows that are read: %s", async (_, make) => {
  const source = await make();
  const read = async () => {
    for await (const _row of readRows(source, { name: "rows", maxRowBytes: 1 << 20 }, new RowErrors()));
  };
  expect(await turns(read)).toBeGreaterThanOrEqual(5000);
});

const digest = async (source: Parameters<typeof readAll>[0]) => {
  const texts = (await fieldsOf(source)).map(({ text }) => text);
  return createHash("sha256").update(JSON.stringify(texts)).digest("hex").slice(0, 16);
};

test("splits and selections are those of the first version", async () => {
  expect(await digest(splitDataset(rows, { testSize: 0.1 }).test)).toBe("380280f03e2503fd");
  expect(await digest(splitDataset(rows, { testSize: 0.3, splitBy: "user", seed: 7 }).test)).toBe("b3c5d56ae7e60664");
  expect(await digest(splitDataset(rows, { testSize: 0.2, splitStrategy: "hash" }).test)).toBe("709123b8dd37774e");
  expect(await digest(selectRows(rows, { by: "length", keep: 0.2 }))).toBe("12c5b6ca43a15915");
});

test("a split or selection whose reading was stopped is read when it is asked for again", async () => {
  const path = await rowsFile(lines);
  for (const source of [
    splitDataset(path, { testSize: 0.5 }).train,
    splitDataset(path, { testSize: 0.5, splitBy: "user" }).train,
    selectRows(path, { by: "length", keep: 0.5 }),
  ]) {
    const stopped = { name: "rows", maxRowBytes: 1 << 20, signal: AbortSignal.abort() };
    await expect(readRows(source, stopped, new RowErrors()).next()).rejects.toThrow(/abort/iu);
    expect((await readAll(source)).length).toBeGreaterThan(1000);
  }
});
