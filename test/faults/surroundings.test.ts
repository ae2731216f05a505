import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { tried } from "../../packages/core/src/testing/trials.ts";
import { mayMount, mounted } from "../support/disks.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const program = resolve(import.meta.dirname, "training-process.ts");

function train(folder: string, env: NodeJS.ProcessEnv = process.env) {
  const argv = ["--import", "tsx", program, smallModel("llama"), folder, "1"];
  return spawnSync(process.execPath, argv, { encoding: "utf8", env });
}

const without = (...names: string[]) =>
  Object.fromEntries(Object.entries(process.env).filter(([n]) => !names.includes(n)));

test.each<[string, () => [folder: string, env: NodeJS.ProcessEnv]]>([
  [
    "no HOME, a locale that is not UTF-8 and a path with spaces in many scripts",
    () => [
      join(temporaryFolder(), "mein Lauf – 実行 – تشغيل – 🏃"),
      { ...without("HOME", "USERPROFILE"), LC_ALL: "C", LANG: "C" },
    ],
  ],
  ["a name of 250 characters", () => [join(temporaryFolder(), "n".repeat(250)), process.env]],
])("a run goes well with %s", (_, make) => {
  const [folder, env] = make();
  const { status, stderr } = train(folder, env);
  expect(status, stderr).toBe(0);
  expect(readdirSync(folder)).toContain("adapter");
  expect(existsSync(join(folder, "adapter/adapter_model.safetensors"))).toBe(true);
  tried(1);
});

test("a name that no file system takes is refused with the path and what to do", () => {
  const folder = join(temporaryFolder(), "n".repeat(300));
  const { status, stderr } = train(folder);
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/FileSystemError \[IO\]: \[.*n{300}.*\] .*; check the path/u);
  tried(1);
});

test.skipIf(!mayMount())("a folder that may only be read is refused with the path, before any weight is loaded", () => {
  const disk = join(temporaryFolder(), "disk");
  mkdirSync(disk);
  expect(mounted(disk, 64, "ro")).toBe(true);
  onTestFinished(() => void spawnSync("umount", [disk]));
  const { status, stderr, stdout } = train(join(disk, "run"));
  expect(status).not.toBe(0);
  expect(stderr).toMatch(/FileSystemError \[IO\]: \[.*disk\/run\] .*(EROFS|read-only).*; check the path/u);
  expect(stdout).toBe("");
  tried(1);
});
