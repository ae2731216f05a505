import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { aDay, trials, tried } from "../../packages/core/src/testing/trials.ts";
import { mayMount, mounted } from "../support/disks.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const program = resolve(import.meta.dirname, "training-process.ts");
const steps = 8;
const kilobytes = 1024;

function train(folder: string) {
  const argv = ["--import", "tsx", program, smallModel("llama"), folder, String(steps)];
  return spawnSync(process.execPath, argv, { encoding: "utf8" });
}

test.skipIf(!mayMount())(
  "a run on a disk that is full keeps its newest checkpoint, and goes on once there is room",
  () => {
    const straight = join(temporaryFolder(), "run");
    expect(train(straight).status).toBe(0);
    const [bytes = 0] = execFileSync("du", ["-sk", join(straight, `checkpoint-${steps}`)], { encoding: "utf8" })
      .split("\t")
      .map(Number);
    // Where the disk ends within a checkpoint matters: half of one and three quarters.
    const shares = Array.from({ length: trials(2) }, (_, n) => [1.5, 2.75][n] ?? 1 + (n % 2) + 0.45 + 0.025 * n);
    for (const share of shares) {
      const disk = temporaryFolder();
      const folder = join(disk, "disk");
      mkdirSync(folder);
      expect(mounted(folder, Math.ceil(share * bytes))).toBe(true);
      onTestFinished(() => void spawnSync("umount", [folder]));
      const run = join(folder, "run");
      const full = train(run);
      expect(full.status).not.toBe(0);
      expect(full.stderr).toMatch(
        /FileSystemError \[IO\]: \[.*run\] expected room for the run's files, got a full disk/u,
      );
      const names = readdirSync(run);
      expect(names.filter((name) => name.startsWith(".tmp-"))).toEqual([]);
      const checkpoints = names.filter((name) => name.startsWith("checkpoint-"));
      for (const name of checkpoints) expect(existsSync(join(run, name, "MANIFEST.json"))).toBe(true);
      expect(checkpoints.length).toBe(Math.floor(share));
      execFileSync("mount", ["-o", `remount,size=${64 * kilobytes}k`, folder]);
      expect(train(run).status).toBe(0);
      const result = (at: string) => readFileSync(join(at, "adapter/adapter_model.safetensors"));
      expect(result(run).equals(result(straight))).toBe(true);
    }
    tried(shares.length);
  },
  aDay,
);
