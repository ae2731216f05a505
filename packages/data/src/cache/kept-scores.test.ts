import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileOperations } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { letterTokenizer as tokenizer } from "../../../core/src/testing/letter-tokenizer.ts";
import { keptScores } from "./kept-scores.ts";

const scores = Float32Array.of(1.5, Number.NaN, Number.NEGATIVE_INFINITY, -0);

/** A folder to be, and a cache in it that counts how often scores are computed. */
async function setUp() {
  const parent = await mkdtemp(join(tmpdir(), "tunesmith-scores-"));
  onTestFinished(() => rm(parent, { recursive: true }));
  const folder = join(parent, "cache");
  const computed = { times: 0 };
  const take = (more: { key?: unknown; count?: number; folder?: string | null } = {}) =>
    keptScores({ folder, key: ["a"], count: scores.length, tokenizer, ...more }, async () => {
      computed.times += 1;
      return scores;
    });
  return { folder, computed, take };
}

test("scores are computed once for a key and a number, and come back to the bit", async () => {
  const { computed, take } = await setUp();
  expect(await take()).toEqual({ scores, fromCache: false, unusable: null });
  expect(await take()).toEqual({ scores, fromCache: true, unusable: null });
  expect(computed.times).toBe(1);
  expect([(await take({ key: ["b"] })).fromCache, (await take({ count: 3 })).fromCache]).toEqual([false, false]);
  expect((await take({ folder: null })).fromCache).toBe(false);
});

test("scores that are used are kept as long as those that are made", async () => {
  const { folder, take } = await setUp();
  await take();
  const [name = ""] = await readdir(folder);
  const path = join(folder, name);
  await utimes(path, 1e6, 1e6);
  await take();
  expect((await stat(path)).mtimeMs).toBeGreaterThan(Date.now() - 60_000);
});

test("a file that is not whole is made again, whichever byte of it is wrong", async () => {
  const { folder, take } = await setUp();
  await take();
  const [name = ""] = await readdir(folder);
  const bytes = await readFile(join(folder, name));
  for (const at of [0, 9, 200, 4096, 4100, bytes.length - 1]) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] as number) ^ 0x11;
    await writeFile(join(folder, name), damaged);
    expect(await take()).toEqual({ scores, fromCache: false, unusable: join(folder, name) });
    expect((await readFile(join(folder, name))).equals(bytes)).toBe(true);
  }
});

test("a process that dies while it writes leaves scores that are whole or none", async () => {
  const { folder, take } = await setUp();
  onTestFinished(() => {
    fileOperations.before = null;
  });
  for (let at = 0; ; at += 1) {
    let left = at;
    fileOperations.before = () => {
      left -= 1;
      if (left < 0) throw new Error("killed");
    };
    const ended = await take().then(
      () => true,
      () => false,
    );
    fileOperations.before = null;
    expect((await take()).scores).toEqual(scores);
    await rm(folder, { recursive: true, force: true });
    if (!ended) continue;
    expect(at).toBeGreaterThan(3);
    break;
  }
});
