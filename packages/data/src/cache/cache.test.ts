import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileOperations, type Tokenizer } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { letterTokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { type PreparedData, prepare } from "../prepare/prepare.ts";
import type { PrepareOptions } from "../prepare/prepare-options.ts";
import { plainOptions } from "../testing/prepare-rows.ts";
import { tokenCacheFolder } from "./folder.ts";

const options: PrepareOptions = { ...plainOptions, maxLength: 12, keepItems: 2 };

/** A file of rows and an empty cache; how often the tokenizer was asked. */
async function setUp(rows = 700) {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-cache-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "rows.jsonl");
  // Every third row counts half.
  const weigh = (n: number) => (n % 3 === 0 ? { weight: 0.5 } : {});
  const row = (n: number) => ({ prompt: `p${n}`, completion: "c".repeat(1 + (n % 17)), id: 2 ** 60 + n, ...weigh(n) });
  await writeFile(path, Array.from({ length: rows }, (_, n) => `${JSON.stringify(row(n))}\n`).join(""));
  const cache = { folder: join(folder, "cache"), minBytes: 0 };
  const asked = { times: 0 };
  const tokenizer: Tokenizer = {
    ...letterTokenizer,
    encodePairs: (pairs) => {
      asked.times += 1;
      return letterTokenizer.encodePairs(pairs);
    },
  };
  const run = (more: Partial<PrepareOptions> = {}) => prepare(path, tokenizer, { ...options, cache, ...more });
  return { path, cache, asked, run, tokenizer };
}

/** Everything that a run sees of a data set. */
function seen({ examples, report: { fromCache: _, ...report }, fingerprint, items, locate }: PreparedData) {
  const places = Array.from(examples, ({ rowId }) => locate(rowId));
  return { examples: [...examples], lengths: [...examples.lengths], report, fingerprint, items, places };
}

test("a second run has the same data without asking the tokenizer", async () => {
  const { run, asked, cache } = await setUp();
  const plain = await run({ cache: null });
  asked.times = 0;
  const first = await run();
  const times = asked.times;
  const second = await run();
  expect([times, asked.times]).toEqual([3, 3]);
  expect([first.report.fromCache, second.report.fromCache]).toEqual([undefined, true]);
  expect(seen(first)).toEqual(seen(plain));
  expect(seen(second)).toEqual(seen(plain));
  expect(second.examples.at(0).weights).toContain(0.5);
  expect(await readdir(cache.folder)).toHaveLength(1);
});

test("what decides the examples decides the key", async () => {
  const { run, asked, path, cache, tokenizer } = await setUp(3);
  await run();
  const other = { ...tokenizer, fingerprint: async () => "another tokenizer" };
  expect((await prepare(path, other, { ...options, cache })).report.fromCache).toBeUndefined();
  for (const more of [{ maxLength: 11 }, { keepItems: 3 }, { onBadRow: "skip" }, { vocabSize: 1000 }] as const) {
    const before = asked.times;
    await run(more);
    expect(asked.times).toBe(before + 1);
  }
  await writeFile(path, (await readFile(path, "utf8")).replace("p0", "q0"));
  const before = asked.times;
  expect((await run()).report.fromCache).toBeUndefined();
  expect(asked.times).toBe(before + 1);
});

test("small files, rows in memory and functions are not kept", async () => {
  const { run, cache } = await setUp(3);
  await run({ cache: { ...cache, minBytes: 1 << 20 } });
  await run({ formattingFunc: (row) => ({ prompt: String(row.prompt), completion: "x" }) });
  await prepare([{ text: "a" }], letterTokenizer, { ...options, cache });
  await expect(readdir(cache.folder)).rejects.toThrow(/ENOENT/u);
});

test("a damaged file is made again, wherever the damage is", async () => {
  const { run, cache } = await setUp(40);
  const whole = await run();
  const [name = ""] = await readdir(cache.folder);
  const file = join(cache.folder, name);
  const bytes = await readFile(file);
  const damages = [0, 9, 60, 210, 270, 333, 4095, 4096, 5000, bytes.length - 1].map((at) => {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] as number) ^ 0x11;
    return damaged;
  });
  for (const damaged of [...damages, bytes.subarray(0, bytes.length - 4), bytes.subarray(0, 100), Buffer.alloc(0)]) {
    await writeFile(file, damaged);
    expect(seen(await run())).toEqual(seen(whole));
    expect((await readFile(file)).equals(bytes)).toBe(true);
  }
});

test("a kill at any file operation leaves no file that a later run takes", async () => {
  const { run, cache } = await setUp(40);
  const plain = seen(await run({ cache: null }));
  const died = new Error("killed");
  onTestFinished(() => {
    fileOperations.before = null;
  });
  let operations = 0;
  for (let at = 0; at < 100; at += 1) {
    let left = at;
    fileOperations.before = () => {
      left -= 1;
      if (left < 0) throw died;
    };
    const ended = await run().then(
      () => true,
      (error: unknown) => error !== died,
    );
    fileOperations.before = null;
    operations = at;
    expect(seen(await run())).toEqual(plain);
    await rm(cache.folder, { recursive: true, force: true });
    if (ended) break;
  }
  expect(operations).toBeGreaterThan(4);
});

test("a cache that cannot be written to is done without", async () => {
  const { run, cache } = await setUp(40);
  await writeFile(cache.folder, "a file in its place");
  const plain = seen(await run({ cache: null }));
  expect(seen(await run())).toEqual(plain);
});

test("rows that change while they are read are not kept", async () => {
  const { run, cache, path } = await setUp(40);
  const tokenizer: Tokenizer = {
    ...letterTokenizer,
    encodePairs: async (pairs) => {
      await utimes(path, 1, 1);
      return letterTokenizer.encodePairs(pairs);
    },
  };
  await prepare(path, tokenizer, { ...options, cache });
  expect(await readdir(cache.folder)).toEqual([]);
  expect((await run()).report.fromCache).toBeUndefined();
});

test("two at once both end with the data, and one file", async () => {
  const { run, cache } = await setUp();
  const [one, other] = await Promise.all([run(), run()]);
  expect(seen(one)).toEqual(seen(other));
  expect(await readdir(cache.folder)).toHaveLength(1);
});

test("what no run has used for a month is removed; what is used stays", async () => {
  const { run, cache } = await setUp(3);
  await run();
  const [used = ""] = await readdir(cache.folder);
  const long = new Date(Date.now() - 40 * 24 * 60 * 60 * 1000);
  await utimes(join(cache.folder, used), long, long);
  await run();
  expect(Date.now() - (await stat(join(cache.folder, used))).mtimeMs).toBeLessThan(60_000);
  await utimes(join(cache.folder, used), long, long);
  await run({ maxLength: 9 });
  expect(await readdir(cache.folder)).not.toContain(used);
});

test("the folder is beside that of Python's datasets", () => {
  expect(tokenCacheFolder({ HF_HOME: "/hf" })).toBe("/hf/datasets/tunesmith-tokens");
  expect(tokenCacheFolder({ HF_HOME: "/hf", HF_DATASETS_CACHE: "/data" })).toBe("/data/tunesmith-tokens");
});
