// npm run example:dpo [-- --model PATH|ORG/NAME] [--output-dir DIR] [--json FILE]: teaches the quickstart's task by pairs of a right and a
// mistaken ticket, and counts margins, held-out pairs and exact answers before and after.
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import {
  type DPOMetrics,
  DPOTrainer,
  type EvalEvent,
  environmentLine,
  reportFailure,
  runTraining,
  type TrainResult,
} from "tunesmith";
import { answersWith } from "./answers-with.ts";
import { exactShare } from "./exact-match.ts";
import { pairsOf } from "./preference-pairs.ts";
import { openQuickstartModel } from "./quickstart-model.ts";
import { generateTickets } from "./tickets.ts";

/** Pairs to train on and to measure with; the held-out ones have no message, order or pairing of product and problem with the others in common. */
const rows = { train: 256, heldOut: 40, seed: 3407 } as const;

/** What is trained. A base model that never writes a ticket has to learn that too: the right answers' likelihood is a part of the loss. */
const args = {
  runName: "example-dpo",
  ...{ numTrainEpochs: 1, perDeviceTrainBatchSize: 4, learningRate: 5e-4, warmupSteps: 6 },
  ...{ beta: 0.1, lossType: ["sigmoid", "sft"] as ("sigmoid" | "sft")[], lossWeights: [1, 1] },
  ...{ precomputeRefLogProbs: true, evalOnStart: true, saveStrategy: "end" as const },
};

const say = (line: string) => void process.stdout.write(`${line}\n`);
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** The figures of an evaluation that the page shows. */
function figuresOf(event: EvalEvent<DPOMetrics>) {
  return {
    ...{ step: event.step, loss: event.evalLoss, margin: event["evalRewards/margins"] },
    ...{ accuracy: event["evalRewards/accuracies"], logpsChosen: event["evalLogps/chosen"] },
    logpsRejected: event["evalLogps/rejected"],
  };
}

async function example(): Promise<number> {
  const begun = performance.now();
  const options = { model: { type: "string" }, "output-dir": { type: "string" }, json: { type: "string" } } as const;
  const { values } = parseArgs({ options });
  say(environmentLine({ device: "auto", threads: undefined }));
  const data = generateTickets(rows);
  const model = await openQuickstartModel(values.model, say);
  const results: TrainResult[] = [];
  const evaluations: ReturnType<typeof figuresOf>[] = [];
  const trainer = new DPOTrainer({
    model: model.getPeftModel({ r: 16, loraAlpha: 32, targetModules: "all-linear" }),
    ...{ trainDataset: pairsOf(data.train), evalDataset: pairsOf(data.heldOut) },
    args: { ...args, outputDir: values["output-dir"] ?? null },
    callbacks: [
      (event) => {
        if (event.type === "done") results.push(event.result);
        if (event.type === "eval") evaluations.push(figuresOf(event));
      },
    ],
  });
  const code = await runTraining(trainer, model, { json: false, out: process.stdout, err: process.stderr });
  const [result] = results;
  const [before, after] = [evaluations[0], evaluations.at(-1)];
  if (code !== 0 || result === undefined || before === undefined || after === undefined) return code;
  say(`count  answering ${data.heldOut.length} held-out messages with the base model and with the adapter`);
  const exact = {
    before: exactShare(await answersWith(null, model, data.heldOut), data.heldOut),
    after: exactShare(await answersWith(result.adapterDir, model, data.heldOut), data.heldOut),
  };
  const seconds = (performance.now() - begun) / 1000;
  say(`held-out margin  before ${before.margin.toFixed(2)} → after ${after.margin.toFixed(2)}`);
  say(`pairs right      before ${percent(before.accuracy)} → after ${percent(after.accuracy)}`);
  say(`exact match      before ${percent(exact.before)} → after ${percent(exact.after)}`);
  say(`total time       ${seconds.toFixed(0)} s`);
  if (values.json !== undefined) {
    const found = {
      model: model.info.path.split(/[\\/]/u).at(-1),
      rows,
      args,
      steps: result.globalStep,
      before,
      after,
    };
    const health = result.health.map(({ rule, step, message }) => ({ rule, step, message }));
    await writeFile(values.json, `${JSON.stringify({ ...found, exactMatch: exact, health }, null, 2)}\n`);
  }
  return 0;
}

try {
  process.exitCode = await example();
} catch (error) {
  process.exitCode = reportFailure(error, process.stderr);
}
