import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { aDay, isNightly, trials, tried } from "../../packages/core/src/testing/trials.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const program = resolve(import.meta.dirname, "long-process.ts");

interface Watched {
  steps: number;
  /** KiB held, a hundred times over the run. */
  samples: number[];
  /** How late the event loop was, in milliseconds. */
  p99: number;
  longest: number;
}

async function watched(steps: number, seconds: number) {
  const folder = join(temporaryFolder(), "run");
  const argv = ["--expose-gc", "--import", "tsx", program, smallModel("llama"), folder, String(steps), String(seconds)];
  const { stdout } = await promisify(execFile)(process.execPath, argv, { timeout: aDay, maxBuffer: 1 << 26 });
  return JSON.parse(stdout.trim().split("\n").at(-1) as string) as Watched;
}

// Figures, which npm test does not ask for: they take their time, and a busy machine has others.
test.runIf(isNightly && process.platform === "linux")(
  "memory is flat over a long run",
  async () => {
    const { steps, samples } = await watched(trials(5000), aDay);
    // What the garbage collector has not given back comes and goes by megabytes: the lowest of ten samples is what is held.
    const [first, last] = [Math.min(...samples.slice(0, 10)), Math.min(...samples.slice(-10))];
    tried(steps, `${last - first} KiB more at the end than the ${first} at the beginning`);
    expect(last - first, `KiB grown from ${first}`).toBeLessThan(Math.max(2048, first / 100));
  },
  aDay,
);

test.runIf(isNightly && process.platform === "linux")(
  "the event loop stays free while a run trains",
  async () => {
    const seconds = trials(60);
    const { p99, longest } = await watched(1e9, seconds);
    tried(seconds, `99 of 100 turns within ${p99.toFixed(1)} ms, the longest ${longest.toFixed(0)} ms`);
    expect(p99, "milliseconds").toBeLessThan(10);
    expect(longest, "milliseconds").toBeLessThan(50);
  },
  aDay,
);
