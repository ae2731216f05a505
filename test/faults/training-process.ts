// A training run in a process of its own, to be killed: `training-process.ts MODEL FOLDER STEPS`; one line per event.
import { existsSync, readdirSync } from "node:fs";
import { loadModel } from "@tunesmith/native";
import { SFTTrainer } from "@tunesmith/trainer";
import { conversations } from "../support/rows.ts";

const [model = "", outputDir = "", steps = ""] = process.argv.slice(2);
const trainer = new SFTTrainer({
  model: await loadModel(model),
  trainDataset: conversations(24),
  args: {
    outputDir,
    maxSteps: Number(steps),
    saveSteps: 1,
    saveTotalLimit: 2,
    learningRate: 5e-3,
    perDeviceTrainBatchSize: 3,
  },
  peftConfig: { r: 4 },
});
const begun = existsSync(outputDir) && readdirSync(outputDir).some((name) => name.startsWith("checkpoint-"));
for await (const event of trainer.train({ resumeFromCheckpoint: begun })) process.stdout.write(`${event.type}\n`);
