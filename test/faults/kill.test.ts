import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { philox } from "@tunesmith/curriculum";
import { expect, test } from "vitest";
import { aDay, trials, tried } from "../../packages/core/src/testing/trials.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const program = resolve(import.meta.dirname, "training-process.ts");
/** How often the process is killed at most. */
const kills = trials(6);
/** Each life makes one or two. */
const steps = 2 * kills;
const seed = 3407;

/** One life of the process: killed some milliseconds after its `events`th checkpoint, or left to end. Gives the exit code. */
async function life(folder: string, events: number, delay: number): Promise<number | null> {
  const argv = ["--import", "tsx", program, smallModel("llama"), folder, String(steps)];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((done) => child.once("close", done));
  let checkpoints = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === "checkpoint") checkpoints += 1;
    if (checkpoints === events) setTimeout(() => child.kill("SIGKILL"), delay);
  }
  return ended;
}

test(
  "a run that is killed again and again ends as one that never was",
  async () => {
    const straight = join(temporaryFolder(), "run");
    expect(await life(straight, Number.POSITIVE_INFINITY, 0)).toBe(0);
    const folder = join(temporaryFolder(), "run");
    let killed = 0;
    for (let number = 0; ; number += 1) {
      const [a, b] = philox([number, 0, 0, 0], [seed, 0]);
      // The delay spans a whole step with its checkpoint, so that kills fall into every part of it.
      const code =
        number < kills ? await life(folder, 1 + (a % 2), b % 40) : await life(folder, Number.POSITIVE_INFINITY, 0);
      if (code === 0) break;
      expect(code, "the process ended by the kill, not by an error").toBeNull();
      killed += 1;
    }
    tried(killed);
    expect(killed).toBeGreaterThan(kills / 4);
    for (const file of [
      "adapter/adapter_model.safetensors",
      "metrics.jsonl",
      `checkpoint-${steps}/optimizer.safetensors`,
    ]) {
      expect(readFileSync(join(folder, file)).equals(readFileSync(join(straight, file))), file).toBe(true);
    }
    expect(readdirSync(folder).filter((name) => name.startsWith(".tmp-"))).toEqual([]);
  },
  aDay,
);
