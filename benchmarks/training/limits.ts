// `npm run bench -- limits`: the time from starting `tunesmith doctor` and `tunesmith train` to their first line, and the longest pause of the event loop
// while a small model trains in the same process; each with its limit.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { loadModel } from "@tunesmith/native";
import { type MetricFunction, SFTTrainer, type TrainCallback } from "@tunesmith/trainer";
import { machine } from "../machine.ts";

const repository = resolve(import.meta.dirname, "../..");
const cli = join(repository, "packages/cli/bin/tunesmith.js");

interface Limit {
  name: string;
  value: number;
  unit: string;
  /** What is promised; the value must not exceed it. */
  limit: number;
}

export async function limits(): Promise<Record<string, unknown>> {
  // The model of `train` is looked for once the line has been written.
  const results: Limit[] = [
    await firstLine("doctor"),
    await firstLine("train", "--model", "./missing", "--data", "rows.jsonl"),
    await eventLoop(),
  ];
  for (const { name, value, unit, limit } of results) {
    console.log(
      `${name.padEnd(48)} ${value.toFixed(1).padStart(8)} ${unit}  (limit ${limit}) ${value <= limit ? "held" : "NOT HELD"}`,
    );
  }
  return { benchmark: "limits", machine: machine(), results };
}

function smallModel(): string {
  const models = join(repository, "test/fixtures/models");
  const [name] = readdirSync(models).filter(
    (entry) => JSON.parse(readFileSync(join(models, entry, "config.json"), "utf8")).model_type === "llama",
  );
  return join(models, name ?? "");
}

/** From starting a command to its first line, the median of five. */
async function firstLine(command: string, ...args: readonly string[]): Promise<Limit> {
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const start = performance.now();
    const child = spawn(process.execPath, [cli, command, ...args], { stdio: ["ignore", "pipe", "ignore"] });
    const seen = await new Promise((done) => {
      child.stdout.once("data", () => done(true));
      child.once("close", () => done(false));
    });
    if (seen === false) throw new Error(`[limits] expected a first line from tunesmith ${command}, got none`);
    times.push(performance.now() - start);
    child.kill();
  }
  times.sort((a, b) => a - b);
  return { name: `tunesmith ${command}: first line`, value: times[2] as number, unit: "ms", limit: 300 };
}

/** Longest pause of the event loop while a small model trains in the same process. */
async function eventLoop(): Promise<Limit> {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-limits-"));
  try {
    const model = await loadModel(smallModel());
    const row = {
      messages: [
        { role: "user", content: "one two three" },
        { role: "assistant", content: "four five six seven" },
      ],
    };
    const rows = Array.from({ length: 64 }, () => row) as never;
    const args = { outputDir: join(folder, "run"), maxSteps: 200, saveSteps: 50, evalSteps: 50, sampleEverySteps: 50 };
    const count: TrainCallback = (event, { control }) => {
      if (event.type === "step") control.log({ tokens: event.tokens });
    };
    const answered: MetricFunction = async ({ generate, rows }) =>
      (await generate(rows.slice(0, 8), { maxNewTokens: 16 })).filter((answer) => answer !== "").length;
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const hooks = { metrics: { answered }, callbacks: [count] };
    await new SFTTrainer({ model, trainDataset: rows, evalDataset: rows, args, ...hooks }).train();
    delay.disable();
    return { name: "event loop: longest pause while training", value: delay.max / 1e6, unit: "ms", limit: 50 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
