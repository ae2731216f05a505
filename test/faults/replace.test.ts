import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { recoverFolder, removeLeftovers } from "@tunesmith/core";
import { expect, test } from "vitest";
import { tried } from "../../packages/core/src/testing/trials.ts";
import { temporaryFolder } from "../support/runs.ts";

const program = resolve(import.meta.dirname, "replace-process.ts");

test("a process killed at any step of replacing a folder leaves the old or the new one", async () => {
  const texts: string[] = [];
  for (let operation = 0; ; operation += 1) {
    const root = temporaryFolder();
    const target = join(root, "target");
    mkdirSync(target);
    for (const name of ["a", "b"]) writeFileSync(join(target, name), "old");
    const argv = ["--import", "tsx", program, target, String(operation)];
    const { status, signal } = spawnSync(process.execPath, argv, { stdio: ["ignore", "ignore", "inherit"] });
    await recoverFolder(target);
    const [a, b] = ["a", "b"].map((name) => readFileSync(join(target, name), "utf8"));
    expect(a).toBe(b);
    texts.push(a ?? "");
    await removeLeftovers(root);
    expect(readdirSync(root)).toEqual(["target"]);
    if (status === 0) break;
    expect(signal).toBe("SIGKILL");
  }
  tried(texts.length - 1);
  // The old one until the second renaming, the new one after it.
  expect(texts.join(" ")).toMatch(/^(old ){8}(new ?)+$/u);
});
