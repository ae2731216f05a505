// npm run quickstart [-- --model PATH|ORG/NAME] [--output-dir DIR]: teaches a small model to turn customers' messages into
// tickets, and counts how often it is right before and after.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { display, environmentLine, reportFailure, runTraining, SFTTrainer, type TrainCallback } from "tunesmith";
import { answerOf, quickstartRows, systemMessage, writeDataFiles } from "./data-files.ts";
import { answerAll, exactShare } from "./exact-match.ts";
import { cacheFolder, openQuickstartModel } from "./quickstart-model.ts";
import type { TicketRow } from "./tickets.ts";

/** Samples shown at the end. */
const shown = 3;

const say = (line: string) => void process.stdout.write(`${line}\n`);
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** What the model answers before the first step and after the last one, on the held-out rows. */
class BeforeAndAfter {
  before: string[] = [];
  after: string[] = [];
  runDir = "";
  readonly #rows: readonly TicketRow[];

  constructor(rows: readonly TicketRow[]) {
    this.#rows = rows;
  }

  /** Answers with the weights that the run has in memory: a new adapter changes nothing, so the first answers are the base model's. */
  readonly callback: TrainCallback = async (event, { model, session }) => {
    if (event.type === "prepared") {
      this.runDir = event.runDir;
      this.before = await answerAll(this.#rows, model.tokenizer, session);
      say(`exact match  before ${percent(exactShare(this.before, this.#rows))}`);
    }
    if (event.type === "done") this.after = await answerAll(this.#rows, model.tokenizer, session);
  };

  report(): void {
    for (const [index, { message, ticket }] of this.#rows.slice(0, shown).entries()) {
      say(`\nmessage   ${message}`);
      say(`base      ${this.before[index]?.replaceAll(/\s+/gu, " ").slice(0, 100)}`);
      say(`tuned     ${this.after[index]}`);
      say(`expected  ${answerOf(ticket)}`);
    }
    const [before, after] = [exactShare(this.before, this.#rows), exactShare(this.after, this.#rows)];
    say(`\nexact match  before ${percent(before)} → after ${percent(after)}`);
  }
}

async function quickstart(): Promise<number> {
  const begun = performance.now();
  const { values } = parseArgs({ options: { model: { type: "string" }, "output-dir": { type: "string" } } });
  say(environmentLine(undefined));
  const data = await writeDataFiles(join(cacheFolder, "quickstart-data"), quickstartRows);
  const model = await openQuickstartModel(values.model, say);
  const answers = new BeforeAndAfter(data.heldOutRows);
  const { train, heldOut } = quickstartRows;
  say(`plan   answer ${heldOut} held-out messages, train on ${train} others, answer the ${heldOut} again`);
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
    callbacks: [answers.callback],
  });
  const code = await runTraining(trainer, model, { json: false, out: process.stdout, err: process.stderr });
  if (code !== 0) return code;
  answers.report();
  const [example] = data.heldOutRows;
  const run = display(answers.runDir);
  say(`\nrun folder   ${run}`);
  say(`PEFT adapter ${join(run, "adapter")}`);
  say(`chat with it npx tunesmith chat ${run} --system "${systemMessage}" --prompt "${example?.message}"`);
  say(`total time   ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  return 0;
}

try {
  process.exitCode = await quickstart();
} catch (error) {
  process.exitCode = reportFailure(error, process.stderr);
}
