import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { aDay, spread, tried } from "../../packages/core/src/testing/trials.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const program = resolve(import.meta.dirname, "training-process.ts");
const steps = 3;

function life(folder: string, operation = "") {
  const argv = ["--import", "tsx", program, smallModel("llama"), folder, String(steps), operation];
  return spawnSync(process.execPath, argv, { encoding: "utf8" });
}

/** What two equal runs have in common, by digest. */
function outcome(folder: string) {
  const digest = (bytes: string | Buffer) => createHash("sha256").update(bytes).digest("hex");
  const checkpoint = join(folder, `checkpoint-${steps}`);
  const state = readFileSync(join(checkpoint, "trainer_state.json"), "utf8");
  const files = ["metrics.jsonl", "adapter/adapter_model.safetensors"].map((name) => join(folder, name));
  const parts = ["adapter_model.safetensors", "optimizer.safetensors", "data_state.json"];
  return {
    names: readdirSync(folder).sort(),
    files: [...files, ...parts.map((name) => join(checkpoint, name))].map((path) => digest(readFileSync(path))),
    // When it began and how long it took is all that differs.
    state: digest(state.replaceAll(/(seconds|started_at)": [\d.e-]+/giu, "")),
  };
}

test(
  "a process that is killed before any of its file operations leaves a run that goes on to the same end",
  () => {
    const straight = join(temporaryFolder(), "run");
    const { stdout, status } = life(straight);
    expect(status).toBe(0);
    const operations = Number(/^(\d+) operations$/mu.exec(stdout)?.[1]);
    const whole = outcome(straight);
    const chosen = spread(operations, 3);
    for (const operation of chosen) {
      const folder = join(temporaryFolder(), "run");
      expect(life(folder, String(operation)).signal).toBe("SIGKILL");
      const later = life(folder);
      expect(later.status, `operation ${operation}\n${later.stderr}`).toBe(0);
      expect(outcome(folder), `operation ${operation}`).toEqual(whole);
    }
    tried(chosen.length, `${operations} operations`);
  },
  aDay,
);
