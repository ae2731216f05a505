// `goldens-smollm2`: the real model.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Generator, LanguageModel, Message, SFTConfig } from "@tunesmith/core";
import { collate, type Example, IGNORE_INDEX, prepare } from "@tunesmith/data";
import { loadModel } from "@tunesmith/native";
import { type LogEvent, SFTTrainer } from "@tunesmith/trainer";
import { readSafetensors, tensorError } from "../../support/safetensors.ts";
import { attempt, measured, type Outcome, relative, unsupported } from "../outcome.ts";

interface Goldens {
  tokenization: { text: string; ids: number[] }[];
  rows: {
    messages: Message[];
    input_ids: number[];
    prompt_tokens: number;
    loss_response_only: number;
    loss_all: number;
  }[];
  generations: { prompt: string; prompt_ids: number[]; output_ids: number[] }[];
}

interface Run {
  batch: number;
  steps: number;
  learning_rate: number;
  lr_scheduler_type: Required<SFTConfig>["lrSchedulerType"];
  warmup_steps: number;
  weight_decay: number;
  max_grad_norm: number;
  rows: { messages: Message[]; input_ids: number[]; labels: number[] }[];
  history: { loss: number; grad_norm: number; learning_rate: number }[];
  tolerance: { steps_loss_rel: number; steps_grad_norm_rel: number; adapter_end: number };
}

const name = "goldens-smollm2";

/** `goldens-smollm2`: the real model. `path` is its GGUF file, or null where the machine does not have it. */
export async function smollm2(root: string, path: string | null): Promise<Outcome[]> {
  const dir = join(root, name);
  if (!existsSync(dir)) return [];
  if (path === null) return [unsupported(name, "the model is not on this machine; npm run quickstart fetches it")];
  const model = await loadModel(path);
  return [
    ...(await attempt(name, () =>
      inference(model, JSON.parse(readFileSync(join(dir, "smollm2-135m.json"), "utf8")) as Goldens),
    )),
    ...(await attempt(`${name}/run`, () => training(model, join(dir, "run")))),
  ];
}

async function inference(model: LanguageModel, goldens: Goldens): Promise<Outcome[]> {
  const texts = await model.tokenizer.encodeTexts(goldens.tokenization.map(({ text }) => text));
  const wrongTexts = goldens.tokenization.filter(({ ids }, index) => texts[index]?.join() !== ids.join());
  const conversations = await model.tokenizer.encodeConversations(goldens.rows.map(({ messages }) => ({ messages })));
  const wrongRows = goldens.rows.filter(({ input_ids: ids }, index) => conversations[index]?.ids.join() !== ids.join());
  const session = await model.createGenerator();
  try {
    return [
      measured(`${name}/tokenization`, wrongTexts.length, 0),
      measured(`${name}/conversations`, wrongRows.length, 0),
      measured(`${name}/loss_all`, await lossError(session, goldens, "loss_all"), 2e-5),
      measured(`${name}/loss_response_only`, await lossError(session, goldens, "loss_response_only"), 2e-5),
      measured(`${name}/generate`, await differingAnswers(session, goldens), 0),
    ];
  } finally {
    session.dispose();
  }
}

async function lossError(
  session: Generator,
  goldens: Goldens,
  field: "loss_all" | "loss_response_only",
): Promise<number> {
  let worst = 0;
  for (const [rowId, row] of goldens.rows.entries()) {
    const ids = Int32Array.from(row.input_ids);
    const first = field === "loss_all" ? 0 : row.prompt_tokens;
    const labels = ids.map((id, position) => (position < first ? IGNORE_INDEX : id));
    const example: Example = { ids, labels, turns: 2, length: ids.length, rowId, truncated: false };
    const sums = await session.evaluate(collate([{ example, microBatch: 0 }]));
    worst = Math.max(worst, relative((sums.lossSum[0] as number) / (sums.weightSum[0] as number), row[field]));
  }
  return worst;
}

async function differingAnswers(session: Generator, { generations }: Goldens): Promise<number> {
  const prompts = generations.map(({ prompt_ids: ids }) => Int32Array.from(ids));
  const maxNewTokens = Math.max(...generations.map(({ output_ids: ids }) => ids.length));
  const written: number[][] = prompts.map(() => []);
  for await (const { index, tokenId } of session.generate({ prompts, maxNewTokens })) written[index]?.push(tokenId);
  // A reference may have been cut before its end of turn, so only its own length is compared.
  return generations.filter(({ output_ids: ids }, index) => written[index]?.slice(0, ids.length).join() !== ids.join())
    .length;
}

async function training(model: LanguageModel, dir: string): Promise<Outcome[]> {
  const run = JSON.parse(readFileSync(join(dir, "run.json"), "utf8")) as Run;
  const rows = run.rows.map(({ messages }) => ({ messages }));
  const data = await prepare(rows, model.tokenizer, {
    name,
    datasetFormat: "messages",
    datasetTextField: "text",
    maxLength: null,
    assistantOnlyLoss: true,
    completionOnlyLoss: null,
  });
  const wrong = run.rows.filter(
    (row, index) =>
      data.examples.at(index).ids.join() !== row.input_ids.join() ||
      data.examples.at(index).labels.join() !== row.labels.join(),
  );
  const outputDir = mkdtempSync(join(tmpdir(), "tunesmith-smollm2-"));
  try {
    const { logs, adapterDir } = await train(model, dir, outputDir, run);
    return [
      measured(`${name}/run/labels`, wrong.length, 0),
      ...outcomes(run, logs, join(dir, "adapter_end"), adapterDir),
    ];
  } finally {
    rmSync(outputDir, { recursive: true, force: true });
  }
}

/** Trains as the reference did, and gives the log and the folder of the adapter. */
async function train(model: LanguageModel, dir: string, outputDir: string, run: Run) {
  const args: SFTConfig = {
    outputDir,
    perDeviceTrainBatchSize: run.batch,
    maxSteps: run.steps,
    learningRate: run.learning_rate,
    lrSchedulerType: run.lr_scheduler_type,
    warmupSteps: run.warmup_steps,
    weightDecay: run.weight_decay,
    maxGradNorm: run.max_grad_norm,
    maxLength: null,
    saveStrategy: "no",
    trainSamplingStrategy: "sequential",
  };
  const logs: LogEvent[] = [];
  const trainer = new SFTTrainer({
    model,
    trainDataset: run.rows.map(({ messages }) => ({ messages })),
    args,
    peftConfig: { adapterPath: join(dir, "adapter_start") },
  });
  const training = trainer.train();
  for await (const event of training) if (event.type === "log") logs.push(event);
  return { logs, adapterDir: (await training).adapterDir };
}

/** How far the log and the final adapter are from the reference's. */
function outcomes(run: Run, logs: readonly LogEvent[], expectedDir: string, adapterDir: string): Outcome[] {
  const file = "adapter_model.safetensors";
  const worst = (error: (log: LogEvent | undefined, expected: Run["history"][number]) => number) =>
    Math.max(...run.history.map((expected, index) => error(logs[index], expected)));
  const { steps_loss_rel: loss, steps_grad_norm_rel: norm, adapter_end: end } = run.tolerance;
  return [
    measured(
      `${name}/run/loss`,
      worst((log, expected) => relative(log?.loss ?? Number.NaN, expected.loss)),
      loss,
    ),
    measured(
      `${name}/run/grad_norm`,
      worst((log, expected) => relative(log?.gradNorm ?? Number.NaN, expected.grad_norm)),
      norm,
    ),
    measured(
      `${name}/run/learning_rate`,
      worst((log, expected) => relative(log?.learningRate ?? Number.NaN, expected.learning_rate)),
      1e-9,
    ),
    measured(
      `${name}/run/adapter_end`,
      tensorError(readSafetensors(join(adapterDir, file)), readSafetensors(join(expectedDir, file))),
      end,
    ),
  ];
}
