// What this machine can do at most, measured here: how fast memory is copied, and how fast large matrix products are.
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { DeviceOptions } from "@tunesmith/core";
import { loadModel } from "@tunesmith/native";
import { generatedBatch } from "@tunesmith/trainer";
import { tokenizerFiles } from "./generated-text.ts";
import { type Shape, weightsOfToken, writeRandomModel } from "./random-model.ts";

/** Bytes that a thread copies at a time: more than caches hold. */
const copied = 64 << 20;
/** Milliseconds for which copies are counted. */
const duration = 500;

const copying = `
const { parentPort, workerData: { copied, duration } } = require("node:worker_threads");
const [from, to] = [Buffer.alloc(copied, 1), Buffer.alloc(copied, 2)];
parentPort.once("message", () => {
  const begun = performance.now();
  let bytes = 0;
  while (performance.now() - begun < duration) bytes += from.copy(to);
  parentPort.postMessage(bytes / ((performance.now() - begun) / 1000));
});
parentPort.postMessage("ready");
`;

/** Bytes a second that memory reads and writes while every thread copies: twice those that are copied. */
export async function memoryRate(threads: number): Promise<number> {
  const workers = Array.from(
    { length: threads },
    () => new Worker(copying, { eval: true, workerData: { copied, duration } }),
  );
  try {
    const message = (worker: Worker) =>
      new Promise<unknown>((resolve, reject) => worker.once("message", resolve).once("error", reject));
    await Promise.all(workers.map(message));
    const rates = workers.map(message);
    for (const worker of workers) worker.postMessage("go");
    return 2 * ((await Promise.all(rates)) as number[]).reduce((sum, rate) => sum + rate, 0);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** One layer with products so large that nothing next to them counts. */
const wide: Shape = { hidden: 1024, intermediate: 4096, heads: 16, kvHeads: 16, layers: 1, vocabulary: 8192 };
/** Tokens of a pass, passes before, and passes of which the fastest counts. */
const [passTokens, warm, timed] = [512, 2, 5];

/** Floating-point operations a second of the forward pass of a layer of large matrices on a device: the engine's own best. */
export async function productRate(folder: string, device: DeviceOptions): Promise<number> {
  const path = join(folder, "wide");
  writeRandomModel(path, wide, tokenizerFiles());
  const model = await loadModel(path, device);
  const generator = await model.createGenerator();
  try {
    const batch = generatedBatch(1, passTokens, wide.vocabulary);
    let fastest = Number.POSITIVE_INFINITY;
    for (let pass = 0; pass < warm + timed; pass += 1) {
      const begun = performance.now();
      await generator.logProbs(batch);
      if (pass >= warm) fastest = Math.min(fastest, (performance.now() - begun) / 1000);
    }
    return (2 * weightsOfToken(wide) * passTokens) / fastest;
  } finally {
    generator.dispose();
  }
}
