import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { philox } from "@tunesmith/curriculum";
import { loadModel } from "@tunesmith/native";
import { SFTTrainer } from "@tunesmith/trainer";
import { expect, test } from "vitest";
import { aDay, trials, tried } from "../../packages/core/src/testing/trials.ts";
import { conversations } from "../support/rows.ts";
import { smallModel, temporaryFolder, trainOnce } from "../support/runs.ts";

const args = { maxSteps: 12, saveSteps: 4, loggingSteps: 1, perDeviceTrainBatchSize: 3 };

test(
  "a run aborted at any moment settles, leaves a whole checkpoint, and goes on to the same end",
  async () => {
    const model = smallModel("llama");
    const begun = performance.now();
    const straight = await trainOnce(model, args);
    const length = performance.now() - begun;
    let longest = 0;
    let late = 0;
    for (let trial = 0; trial < trials(3); trial += 1) {
      const outputDir = join(temporaryFolder(), "run");
      const trainer = new SFTTrainer({
        model: await loadModel(model),
        trainDataset: conversations(24) as never,
        args: { learningRate: 5e-3, trainSamplingStrategy: "sequential", ...args, outputDir },
        peftConfig: { r: 4 },
      });
      const controller = new AbortController();
      const run = trainer.train({ signal: controller.signal });
      const [share] = philox([trial, 0, 0, 0], [1, 0]);
      let aborted = 0;
      const timer = setTimeout(
        () => {
          aborted = performance.now();
          controller.abort();
        },
        (share / 2 ** 32) * length,
      );
      const error = await run.then(
        () => null,
        (reason: unknown) => reason,
      );
      clearTimeout(timer);
      // Some are done before their abort.
      if (error === null) late += 1;
      else {
        longest = Math.max(longest, performance.now() - aborted);
        expect(error).toMatchObject({ code: "ABORTED" });
        for (const name of existsSync(outputDir) ? readdirSync(outputDir) : []) {
          expect(name).not.toMatch(/^\./u);
          if (name.startsWith("checkpoint-")) expect(readdirSync(join(outputDir, name))).toContain("MANIFEST.json");
        }
      }
      const resume = existsSync(join(outputDir, "config.resolved.yaml"));
      const resumed = await trainOnce(model, { ...args, outputDir }, { resume });
      expect(resumed.adapter.equals(straight.adapter)).toBe(true);
    }
    tried(trials(3) - late, `settled within ${longest.toFixed(0)} ms`);
  },
  aDay,
);
