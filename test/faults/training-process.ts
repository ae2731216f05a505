// A training run in a process of its own, to be killed: `training-process.ts MODEL FOLDER STEPS [OPERATION]`; one line per event, and
// at last how many file operations there were. It ends itself like a power cut before the operation of that number.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileOperations } from "@tunesmith/core";
import { loadModel } from "@tunesmith/native";
import { SFTTrainer } from "@tunesmith/trainer";
import { conversations } from "../support/rows.ts";

const [model = "", outputDir = "", steps = "", operation = ""] = process.argv.slice(2);
let operations = 0;
fileOperations.before = () => {
  if (operation !== "" && operations === Number(operation)) process.kill(process.pid, "SIGKILL");
  operations += 1;
};
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
    // Measured again in between, so that what it goes by is killed as well.
    ...{ trainSamplingStrategy: "competence", competenceSteps: 1000, difficulty: "loss", difficultySteps: 3 },
    loadFromCacheFile: false,
  },
  peftConfig: { r: 4 },
});
const begun = existsSync(join(outputDir, "config.resolved.yaml"));
for await (const event of trainer.train({ resumeFromCheckpoint: begun })) process.stdout.write(`${event.type}\n`);
process.stdout.write(`${operations} operations\n`);
