import { mkdir, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { prepareRows } from "../testing/prepare-rows.ts";
import { fieldsOf, readAll, rowsFile } from "../testing/read-rows.ts";
import { RowErrors } from "./row-errors.ts";
import { readRows } from "./rows.ts";
import { type DatasetSource, isDatasetSource, NamedFiles, pathsOf } from "./source.ts";

/** A folder with files of several kinds, one of them in a folder of its own. */
async function folder(): Promise<string> {
  const path = await scratchFolder(onTestFinished);
  await mkdir(join(path, "more"));
  const files = { "b.csv": "text\nb\n", "a.jsonl": '{"text":"a"}\n{"text":"aa"}\n', "more/c.json": '[{"text":"c"}]' };
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  await writeFile(join(path, "README.md"), "# Rows\n");
  await writeFile(join(path, ".hidden"), "");
  await writeFile(join(path, "d.jsonl.gz"), gzipSync('{"text":"d"}\n'));
  return path;
}

test("a folder is its files of rows, sorted; others are named", async () => {
  const path = await folder();
  const rows = await readAll(path);
  expect(rows.map(({ source, line, fields }) => [source.slice(path.length + 1), line, fields.text])).toEqual([
    ["a.jsonl", 1, "a"],
    ["a.jsonl", 2, "aa"],
    ["b.csv", 2, "b"],
    ["d.jsonl.gz", 1, "d"],
    ["more/c.json", 1, "c"],
  ]);
  const { report, locate } = await prepareRows(path, { datasetFormat: "text" });
  expect(report).toMatchObject({ source: path, ignoredFiles: [join(path, "README.md")], rows: 5 });
  expect([0, 4].map(locate)).toEqual([`${join(path, "a.jsonl")}:1`, `${join(path, "more/c.json")}:1`]);
  const empty = dirname(await rowsFile("", "notes.txt"));
  await expect(readAll(empty)).rejects.toThrow(
    /expected files of rows in the folder .* got 1 other file, such as "notes.txt"/u,
  );
});

test("lists, URLs and files with a name are read one after the other", async () => {
  const [first, second] = [await rowsFile('{"text":"a"}\n'), await rowsFile("text\nb\n", "rows.csv")];
  const expected = [{ text: "a" }, { text: "b" }];
  expect(await fieldsOf([first, second])).toEqual(expected);
  expect(await fieldsOf([pathToFileURL(first), second])).toEqual(expected);
  expect(await fieldsOf(new NamedFiles("ORG/NAME", [first, second]))).toEqual(expected);
  expect(await fieldsOf(pathToFileURL(first))).toEqual([{ text: "a" }]);
  expect(await fieldsOf(String(pathToFileURL(first)))).toEqual([{ text: "a" }]);
  expect(pathsOf("~/rows.jsonl")).toEqual([join(homedir(), "rows.jsonl")]);
  expect((await prepareRows(new NamedFiles("ORG/NAME", [first]))).report.source).toBe("ORG/NAME");
  expect((await prepareRows([first, second])).report.source).toBe(`${first} and 1 more`);
  await expect(readAll("https://example.com/rows.jsonl?key=secret")).rejects.toThrow(
    /^\[data\] expected a path or a file: URL, got https:\/\/example.com; download .* loadDataset/u,
  );
});

test("iterables and streams of rows, bytes and texts", async () => {
  const rows = [{ text: "é" }, { text: "b" }];
  const lines = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const pieces = (bytes: Uint8Array) => Array.from(bytes, (byte) => Uint8Array.of(byte));
  const web = (parts: unknown[]) => Readable.toWeb(Readable.from(parts)) as unknown as AsyncIterable<Uint8Array>;
  const sources: DatasetSource[] = [
    new Set(rows),
    Readable.from(rows),
    web(rows),
    Readable.from(pieces(lines), { objectMode: true }),
    web(pieces(gzipSync(lines))),
    Readable.from([lines.toString("utf8").slice(0, 7), lines.toString("utf8").slice(7)]),
    Readable.from(["text\n", "é\nb\n"].map((text) => `${text}`)) as AsyncIterable<string>,
  ];
  for (const source of sources.slice(0, 6)) expect(await fieldsOf(source)).toEqual(rows);
  await expect(readAll(sources[6] as DatasetSource)).rejects.toThrow(/not JSON: "text"/u);
  expect(await fieldsOf(Readable.from(["prompt,completion\na,", "b\n"]))).toEqual([{ prompt: "a", completion: "b" }]);
  await expect(readAll(Readable.from(["{}\n", { text: "a" }]))).rejects.toThrow(
    /\[memory\] expected bytes or texts alone/u,
  );
});

test("no more is taken of an iterable than is asked for, and it is ended by a reader that leaves", async () => {
  let given = 0;
  let ended = false;
  async function* endless() {
    try {
      for (;;) {
        given += 1;
        yield { text: String(given) };
      }
    } finally {
      ended = true;
    }
  }
  for await (const { line } of readRows(endless(), { name: "rows", maxRowBytes: 100 }, new RowErrors()))
    if (line === 3) break;
  expect([given, ended]).toEqual([3, true]);
});

test("what cannot be a data set is told before a run", () => {
  for (const value of ["", null, undefined, 7, {}, Promise.resolve([])]) expect(isDatasetSource(value)).toBe(false);
  for (const value of ["a", new URL("file:///a"), [], new Set(), (async function* () {})()])
    expect(isDatasetSource(value)).toBe(true);
});
