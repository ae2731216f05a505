// A long run in a process of its own that watches itself: `long-process.ts MODEL FOLDER STEPS SECONDS`. It ends after as many steps or
// seconds, whichever comes first, and prints one line of JSON: the memory it held after the first 200 steps, and how late the event
// loop was.
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { loadModel } from "@tunesmith/native";
import { SFTTrainer } from "@tunesmith/trainer";
import { conversations } from "../support/rows.ts";

const warmUp = 200;
const [model = "", outputDir = "", steps = "", seconds = ""] = process.argv.slice(2);
const trainer = new SFTTrainer({
  model: await loadModel(model, { threads: 1 }),
  trainDataset: conversations(24),
  args: {
    outputDir,
    maxSteps: Number(steps),
    saveStrategy: "no",
    loggingSteps: 100,
    perDeviceTrainBatchSize: 1,
    lrSchedulerType: "constant",
    learningRate: 1e-5,
  },
  peftConfig: { r: 4 },
});

/** Resident anonymous memory in KiB, without what waits for the garbage collector: files that are mapped do not count. */
function memory(): number {
  globalThis.gc?.();
  return Number(/RssAnon:\s+(\d+)/u.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

const delay = monitorEventLoopDelay({ resolution: 1 });
const begun = performance.now();
let made = 0;
const samples: number[] = [];
for await (const event of trainer.train()) {
  if (event.type !== "step") continue;
  made += 1;
  if (made === warmUp) delay.enable();
  if (made >= warmUp && made % Math.ceil(Number(steps) / 100) === 0) samples.push(memory());
  if (performance.now() - begun > 1000 * Number(seconds)) break;
}
const milliseconds = (nanoseconds: number) => nanoseconds / 1e6;
console.log(
  JSON.stringify({
    steps: made,
    samples,
    p99: milliseconds(delay.percentile(99)),
    longest: milliseconds(delay.max),
  }),
);
process.exit(0);
