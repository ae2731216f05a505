import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { prepare } from "@tunesmith/data";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { resolveDataset } from "../resolve-dataset.ts";
import { commit, FakeHub } from "../testing/fake-hub.ts";
import { type DatasetOptions, loadDataset } from "./dataset.ts";
import { splitsOf } from "./dataset-files.ts";

const text = (word: string) => Buffer.from(`{"text":"${word}"}\n`);
const files = new Map([
  ["README.md", Buffer.from("# Words\n")],
  ["data/train-00000-of-00002.jsonl", text("a")],
  ["data/train-00001-of-00002.jsonl", text("b")],
  ["data/test.jsonl", text("c")],
  ["dataset_infos.json", Buffer.from("{}")],
]);

let hub: FakeHub;
let cacheDir: string;
let options: DatasetOptions;
beforeEach(async () => {
  cacheDir = await scratchFolder(onTestFinished);
  await serve(files);
});
afterEach(() => hub.close());

async function serve(content: ReadonlyMap<string, Buffer>): Promise<void> {
  hub?.close();
  hub = new FakeHub(content);
  await hub.listen();
  options = { cacheDir, endpoint: hub.endpoint, localFilesOnly: false, patience: { stall: 150, retry: 1 } };
}

/** The texts that would be trained. */
async function words(source: Parameters<typeof prepare>[0]): Promise<string> {
  const { items } = await prepare(source, letterTokenizer, {
    ...{ name: "rows", datasetFormat: "text", datasetTextField: "text", maxLength: null, keepItems: 9 },
    ...{ assistantOnlyLoss: true, completionOnlyLoss: null },
  });
  return items.map(({ value }) => value).join("");
}

test("the files of a split are downloaded once, into the cache's layout, and read under the name of the data set", async () => {
  const train = await loadDataset("org/words", options);
  expect([train.name, await words(train)]).toEqual(["org/words train", "ab"]);
  expect(train.origin).toEqual({ path: "org/words", name: "default", split: "train", revision: commit });
  expect(train.paths[0]).toBe(
    join(cacheDir, "datasets--org--words", "snapshots", commit, "data", "train-00000-of-00002.jsonl"),
  );
  expect((await readdir(join(cacheDir, "datasets--org--words"))).sort()).toEqual([
    "blobs",
    "refs",
    "snapshots",
    "tunesmith-listings",
  ]);
  const asked = hub.requests.length;
  await loadDataset("org/words", options);
  expect(hub.requests.slice(asked).map(({ url }) => url)).toEqual(["/api/datasets/org/words/revision/main?blobs=true"]);
  expect(
    hub.requests.every(({ url }) => url.startsWith("/api/datasets/") || url.startsWith("/datasets/org/words/resolve/")),
  ).toBe(true);
  expect(await words(await loadDataset("org/words", { ...options, split: "test" }))).toBe("c");
});

test("offline a split is taken from the cache whole, or it is said what is missing", async () => {
  await expect(loadDataset("org/words", { ...options, localFilesOnly: true })).rejects.toThrow(
    /\[org\/words\] expected revision "main" in the cache, got none; go online once/u,
  );
  await loadDataset("org/words", options);
  hub.close();
  expect(await words(await loadDataset("org/words", { ...options, localFilesOnly: true }))).toBe("ab");
  expect(await words(await loadDataset("org/words", options))).toBe("ab");
  await expect(loadDataset("org/words", { ...options, split: "test" })).rejects.toThrow(
    /expected 1 file in the cache, got 1 file less, such as data\/test.jsonl/u,
  );
  // What Python's library has downloaded has no listing.
  await rm(join(cacheDir, "datasets--org--words", "tunesmith-listings"), { recursive: true });
  expect(await words(await loadDataset("org/words", { ...options, localFilesOnly: true }))).toBe("ab");
});

test("a split or configuration that is not there, and a data set that is not, are told by what there is", async () => {
  await expect(loadDataset("org/words", { ...options, split: "dev" })).rejects.toThrow(
    /expected the split "dev", got "train", "test"; give one as split/u,
  );
  await expect(loadDataset("org/words", { ...options, name: "en" })).rejects.toThrow(
    /the configuration "en", got "default"/u,
  );
  hub.listingStatus = 404;
  await expect(loadDataset("org/words", options)).rejects.toThrow(
    /expected a data set on the hub with revision "main"/u,
  );
  hub.listingStatus = 401;
  await expect(loadDataset("org/words", options)).rejects.toThrow(
    /a public data set, got HTTP 401.*\/datasets\/org\/words/u,
  );
  await expect(loadDataset("words", options)).rejects.toThrow(/a data set of the hub as ORG\/NAME/u);
});

test("without files of rows those are taken that the hub has converted to Parquet", async () => {
  await serve(new Map([["words.py", Buffer.from("")]]));
  await expect(loadDataset("org/words", options)).rejects.toThrow(/got no files of rows/u);
  expect(hub.requests.map(({ url }) => url)).toContain(
    "/api/datasets/org/words/revision/refs%2Fconvert%2Fparquet?blobs=true",
  );
});

test("a configuration file names data sets of the Hub, files, and mixes of both", async () => {
  expect(await resolveDataset("rows.jsonl")).toBe("rows.jsonl");
  expect(await resolveDataset(["a.jsonl", { path: "b.csv" }])).toEqual(["a.jsonl", "b.csv"]);
  expect(await words(await resolveDataset("org/words", options))).toBe("ab");
  expect(await words(await resolveDataset({ path: "org/words", split: "test" }, options))).toBe("c");
  const mix = await resolveDataset(
    [
      { path: "org/words", weight: 1 },
      { path: "org/words", split: "test", weight: 0.001 },
    ],
    options,
  );
  expect(await words(mix)).toBe("ab");
  await expect(resolveDataset(["a.jsonl", "org/words"], options)).rejects.toThrow(/expected a weight for each/u);
});

test("splits are declared by a README, or told by names and folders", () => {
  const file = (path: string) => ({ path, size: 1, digest: "" });
  const of = (paths: string[], readme: string | null = null) =>
    splitsOf(paths.map(file), readme).map(({ name, split, files: found }) => [
      name,
      split,
      found.map(({ path }) => path),
    ]);
  expect(of(["default/train/0000.parquet", "en/partial-train/0000.parquet"])).toEqual([
    ["default", "train", ["default/train/0000.parquet"]],
    ["en", "partial-train", ["en/partial-train/0000.parquet"]],
  ]);
  expect(of(["dev.jsonl.gz", "my-training-data/rows.csv", "tests/x.json", "latest.json"])).toEqual([
    ["default", "validation", ["dev.jsonl.gz"]],
    ["default", "train", ["latest.json", "my-training-data/rows.csv", "tests/x.json"]],
  ]);
  const readme = `---
configs:
- config_name: en
  data_files:
  - split: train
    path: en/*.parquet
  - split: dev
    path: ["en/more/**/*.parquet"]
- config_name: de
  data_files: "de/{a,b}*.jsonl"
---
`;
  expect(of(["en/0.parquet", "en/more/x/1.parquet", "de/a1.jsonl", "de/c.jsonl"], readme)).toEqual([
    ["en", "train", ["en/0.parquet"]],
    ["en", "dev", ["en/more/x/1.parquet"]],
    ["de", "train", ["de/a1.jsonl"]],
  ]);
  expect(of(["a.jsonl"], "---\n: [\n---\n")).toEqual([["default", "train", ["a.jsonl"]]]);
});
