import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, exists, fileOperations, LockedError, list } from "@tunesmith/core";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../testing/scratch.ts";
import { RunClaim } from "./run-claim.ts";

afterEach(() => {
  fileOperations.before = null;
});

test("a folder that is given up is locked until its files are gone", async () => {
  const path = join(await scratchFolder(onTestFinished), "run");
  const claim = await RunClaim.take(path, false);
  await writeFile(join(path, "metrics.jsonl"), "");
  const others: Promise<unknown>[] = [];
  fileOperations.before = (operation, file) => {
    if (operation !== "delete" || !file.endsWith("metrics.jsonl")) return;
    fileOperations.before = null;
    others.push(RunClaim.take(path, false).catch((error: unknown) => error));
    others.push(exists(join(path, ".lock")));
  };
  await claim.abandon();
  const [other, locked] = await Promise.all(others);
  expect(locked).toBe(true);
  // Either it came while the lock stood, or once the folder was free.
  if (other instanceof RunClaim) await other.abandon();
  else expect(other).toBeInstanceOf(LockedError);
  expect(await list(path)).toEqual([]);
});

test("a folder that was there stays, and one that is not there cannot be gone on in", async () => {
  const path = await scratchFolder(onTestFinished);
  await writeFile(join(path, "mine"), "");
  await (await RunClaim.take(path, true)).abandon();
  expect(await exists(join(path, "mine"))).toBe(true);
  await expect(RunClaim.take(join(path, "none"), true)).rejects.toThrow(CheckpointError);
  expect(await exists(join(path, "none"))).toBe(false);
});

test("a run whose lock is gone writes nothing more", async () => {
  const path = await scratchFolder(onTestFinished);
  const claim = await RunClaim.take(path, true);
  await claim.confirm();
  await writeFile(join(path, ".lock"), "another");
  await expect(claim.confirm()).rejects.toThrow(/expected this run's lock to stand/);
  await claim.release();
  expect(await exists(join(path, ".lock"))).toBe(true);
});
