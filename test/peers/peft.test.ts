// Python PEFT loads what we write and computes the same.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type LoraOptions, parameterKinds, type TrainSession } from "@tunesmith/core";
import { IGNORE_INDEX } from "@tunesmith/data";
import { loadModel } from "@tunesmith/native";
import { describe, expect, onTestFinished, test } from "vitest";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const peers = process.env.TUNESMITH_PEER_ENV;
const ids = Array.from({ length: 24 }, (_, place) => 5 + ((place * 37) % 300));

const plain = { type: "lora", r: 4, loraAlpha: 6 } as const;
const adapters: [name: string, family: string, options: LoraOptions][] = [
  ["all-linear with dropout", "llama", { ...plain, loraDropout: 0.2 }],
  ["rank-stabilised on an expression", "llama", { ...plain, useRslora: true, targetModules: ".*(q|v|down)_proj" }],
  ["DoRA with patterns", "qwen2", { ...plain, useDora: true, rankPattern: { v_proj: 2 }, alphaPattern: { "up.*": 3 } }],
  [
    "chosen layers",
    "mistral",
    { ...plain, layersToTransform: [1], layersPattern: ["layers"], excludeModules: ["o_proj"] },
  ],
  ["whole modules", "qwen3", { ...plain, targetModules: ["q_proj"], modulesToSave: ["norm", "embed_tokens"] }],
  ["DoRA, head and embedding", "llama", { ...plain, useDora: true, modulesToSave: ["lm_head", "embed_tokens"] }],
  ["random first values", "qwen2", { ...plain, initLoraWeights: false, excludeModules: ".*mlp.*" }],
];

/** A row alone, with the labels given. */
function batch(row: number[], labels: number[]): Parameters<TrainSession["evaluate"]>[0] {
  return {
    inputIds: Int32Array.from(row),
    labels: Int32Array.from(labels),
    positions: Int32Array.from(row.keys()),
    sequenceStarts: Int32Array.of(0, row.length),
    microBatch: Int32Array.of(0),
    rowIds: Int32Array.of(3),
  };
}

describe.skipIf(peers === undefined)("PEFT and an adapter of ours", () => {
  test.each(adapters)("%s", { timeout: 300_000 }, async (_, family, adapter) => {
    const folder = temporaryFolder();
    const path = smallModel(family);
    const model = await loadModel(path, { device: "cpu" });
    const session = await model.createSession({
      adapter,
      optimizer: { type: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      parameterGroups: [{ name: "all", parameters: [...parameterKinds], rate: 0.01, decay: 0 }],
      gradientCheckpointing: false,
      seed: 7,
    });
    onTestFinished(() => session.dispose());
    for (let step = 1; step <= 4; step += 1) {
      await session.accumulate(batch(ids, ids), { objective: { type: "nll" }, step, seed: 7 });
      const learningRates = Float64Array.from(session.info.parameterGroups, () => 0.01);
      await session.update({ learningRates, maxGradNorm: null, denominator: ids.length - 1 });
    }
    await session.saveAdapter(join(folder, "adapter"));
    const losses: number[] = [];
    const entropies: number[] = [];
    for (const place of ids.keys()) {
      if (place === 0) continue;
      const labels = ids.map((id, other) => (other === place ? id : IGNORE_INDEX));
      const sums = await session.evaluate(batch(ids, labels));
      losses.push(sums.lossSum[0] ?? Number.NaN);
      entropies.push(sums.entropySum[0] ?? Number.NaN);
    }

    writeFileSync(join(folder, "ids.json"), JSON.stringify(ids));
    const python = join(peers ?? "", "bin/python");
    const script = join(import.meta.dirname, "peft_losses.py");
    const output = execFileSync(python, [script, path, join(folder, "adapter"), join(folder, "ids.json")], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const theirs = JSON.parse(output.trim().split("\n").at(-1) ?? "") as Record<string, number[]>;
    expect(theirs.unfit).toEqual([]);
    for (const [name, ours] of [
      ["losses", losses],
      ["entropies", entropies],
    ] as const) {
      const worst = Math.max(...ours.map((value, place) => Math.abs(value - (theirs[name]?.[place] ?? Number.NaN))));
      // Ten times the drift seen between the two programs.
      expect(worst, name).toBeLessThan(2e-5);
    }
  });
});
