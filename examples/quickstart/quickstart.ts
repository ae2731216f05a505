// npm run quickstart [-- --model PATH|ORG/NAME] [--output-dir DIR]: teaches a small model to turn customers' messages into
// tickets, and counts how often it is right before and after.
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  display,
  environmentLine,
  type LanguageModel,
  reportFailure,
  runTraining,
  SFTTrainer,
  type TrainResult,
} from "tunesmith";
import { answersWith } from "./answers-with.ts";
import { answerOf, quickstartRows, systemMessage, writeDataFiles } from "./data-files.ts";
import { exactShare } from "./exact-match.ts";
import { cacheFolder, openQuickstartModel } from "./quickstart-model.ts";
import type { TicketRow } from "./tickets.ts";

/** Samples shown at the end. */
const shown = 3;

const say = (line: string) => void process.stdout.write(`${line}\n`);
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** Answers every held-out message twice and shows what has changed. */
async function compare(model: LanguageModel, adapter: string, rows: readonly TicketRow[]): Promise<void> {
  say(`count  answering ${rows.length} held-out messages with the base model and with the adapter`);
  const before = await answersWith(null, model, rows);
  const after = await answersWith(adapter, model, rows);
  for (const [index, { message, ticket }] of rows.slice(0, shown).entries()) {
    say(`\nmessage   ${message}`);
    say(`base      ${before[index]?.replaceAll(/\s+/gu, " ").slice(0, 100)}`);
    say(`tuned     ${after[index]}`);
    say(`expected  ${answerOf(ticket)}`);
  }
  say(`\nexact match  before ${percent(exactShare(before, rows))} → after ${percent(exactShare(after, rows))}`);
}

async function quickstart(): Promise<number> {
  const begun = performance.now();
  const { values } = parseArgs({ options: { model: { type: "string" }, "output-dir": { type: "string" } } });
  say(environmentLine({ device: "auto", threads: undefined }));
  const data = await writeDataFiles(join(cacheFolder, "quickstart-data"), quickstartRows);
  const model = await openQuickstartModel(values.model, say);
  const results: TrainResult[] = [];
  const trainer = new SFTTrainer({
    model: model.getPeftModel({ r: 16, loraAlpha: 32, targetModules: "all-linear" }),
    trainDataset: data.train,
    evalDataset: data.heldOut,
    args: {
      outputDir: values["output-dir"] ?? null,
      runName: "quickstart",
      numTrainEpochs: 1,
      perDeviceTrainBatchSize: 4,
      learningRate: 1e-3,
      warmupSteps: 10,
      evalOnStart: true,
    },
    callbacks: [
      (event) => {
        if (event.type === "done") results.push(event.result);
      },
    ],
  });
  const code = await runTraining(trainer, model, { json: false, out: process.stdout, err: process.stderr });
  const [result] = results;
  if (code !== 0 || result === undefined) return code;
  await compare(model, result.adapterDir, data.heldOutRows);
  const [example] = data.heldOutRows;
  const run = display(result.runDir);
  say(`\nrun folder   ${run}`);
  say(`PEFT adapter ${display(result.adapterDir)}`);
  say(`chat with it npx tunesmith chat ${run} --system "${systemMessage}" --prompt "${example?.message}"`);
  say(`total time   ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  return 0;
}

try {
  process.exitCode = await quickstart();
} catch (error) {
  process.exitCode = reportFailure(error, process.stderr);
}
