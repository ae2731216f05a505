// `trl/sft-*`: whole runs of TRL's SFTTrainer, step by step.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseOptions, sftConfigSchema } from "@tunesmith/core";
import { type Example, prepare } from "@tunesmith/data";
import { loadModel } from "@tunesmith/native";
import { type EvalEvent, type LogEvent, type LossFunction, type SFTMetrics, SFTTrainer } from "@tunesmith/trainer";
import { readSafetensors, tensorError } from "../../support/safetensors.ts";
import { dft } from "../objectives/dft.ts";
import { attempt, measured, type Outcome, relative } from "../outcome.ts";

type Row = Record<string, unknown>;
interface Run {
  model: string;
  args: Record<string, unknown> & {
    max_length: number;
    per_device_train_batch_size: number;
    gradient_accumulation_steps: number;
  };
  train: Row[];
  eval: Row[];
  history: Record<
    "step" | "epoch" | "loss" | "grad_norm" | "learning_rate" | "mean_token_accuracy" | "entropy" | "num_tokens",
    number
  >[];
  eval_before: Record<"eval_loss" | "eval_entropy" | "eval_mean_token_accuracy", number>;
  eval_after: Run["eval_before"];
  tokenized_first_12: { input_ids: number[]; labels?: number[] }[];
  collated_first_4: { input_ids: number[][]; labels: number[][]; attention_mask: number[][] }[];
}

/** Arguments of TRL that say nothing here: precision and optimizer kernels of PyTorch, and where nothing is saved. */
const silent = ["bf16", "fp16", "optim", "save_strategy", "gradient_checkpointing"];

/** `trl/sft-*`: whole runs of TRL's SFTTrainer, step by step. */
export async function trlSft(root: string): Promise<Outcome[]> {
  const dir = join(root, "trl");
  if (!existsSync(dir)) return [];
  const outcomes: Outcome[] = [];
  for (const entry of readdirSync(dir)
    .filter((name) => existsSync(join(dir, name, "run.json")))
    .sort()) {
    const name = `trl/${entry}`;
    outcomes.push(...(await attempt(name, () => oneRun(root, name, null))));
    const own = `${name}/own-objective`;
    if (isDft(root, name)) outcomes.push(...(await attempt(own, () => oneRun(root, name, dft))));
  }
  return outcomes;
}

function isDft(root: string, name: string): boolean {
  return (JSON.parse(readFileSync(join(root, name, "run.json"), "utf8")) as Run).args.loss_type === "dft";
}

/** @param own what is minimised in place of `loss_type`; null: that is */
async function oneRun(root: string, path: string, own: LossFunction | null): Promise<Outcome[]> {
  const name = own === null ? path : `${path}/own-objective`;
  const folder = join(root, path);
  const run = JSON.parse(readFileSync(join(folder, "run.json"), "utf8")) as Run;
  const model = await loadModel(join(root, "models", run.model));
  const outputDir = mkdtempSync(join(tmpdir(), "tunesmith-trl-"));
  try {
    const args = {
      ...argumentsOf(run),
      ...(own !== null && { loss_type: "nll" }),
      outputDir,
      saveStrategy: "no",
      evalOnStart: true,
      evalStrategy: "steps",
      evalSteps: run.history.length,
    } as const;
    const { maxLength, assistantOnlyLoss } = parseOptions(sftConfigSchema, args);
    const options = {
      name,
      datasetFormat: "auto",
      datasetTextField: "text",
      maxLength,
      assistantOnlyLoss,
      completionOnlyLoss: null,
    } as const;
    const examples = [...(await prepare(run.train, model.tokenizer, options)).examples];
    const adapter = join(folder, "adapter_start");
    const peftConfig = existsSync(adapter) ? { adapterPath: adapter } : { fullFinetuning: true };
    const logs: LogEvent<SFTMetrics>[] = [];
    const evals: EvalEvent<SFTMetrics>[] = [];
    const objective = own === null ? {} : { computeLossFunc: own };
    const rows = { trainDataset: run.train, evalDataset: run.eval };
    const trainer = new SFTTrainer({ model, ...rows, args, peftConfig, ...objective });
    const training = trainer.train();
    for await (const event of training) {
      if (event.type === "log") logs.push(event);
      if (event.type === "eval") evals.push(event);
    }
    const { adapterDir } = await training;
    const outcomes = [
      ...tokenised(name, run, examples),
      ...history(name, run, logs, examples),
      ...evaluations(name, run, evals),
    ];
    const end = join(folder, "adapter_end/adapter_model.safetensors");
    if (existsSync(end)) {
      const error = tensorError(readSafetensors(join(adapterDir, "adapter_model.safetensors")), readSafetensors(end));
      outcomes.push(measured(`${name}/adapter_end`, error, adapterTolerance(root, run.model)));
    }
    return outcomes;
  } finally {
    rmSync(outputDir, { recursive: true, force: true });
  }
}

function argumentsOf({ args }: Run): Record<string, unknown> {
  const kept = Object.entries(args).filter(([key]) => !silent.includes(key));
  // TRL trains on every token of a conversation unless told otherwise.
  return { assistant_only_loss: false, ...Object.fromEntries(kept) };
}

function adapterTolerance(root: string, model: string): number {
  const path = join(root, "goldens", model, "case.json");
  const given = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).tolerance?.float32?.adapter_end : undefined;
  return typeof given === "number" ? given : 5e-3;
}

/** Ids and labels of the first rows and of the first micro-batches, exactly; the error is the number of differing rows. */
function tokenised(name: string, run: Run, examples: readonly Example[]): Outcome[] {
  const same = (got: Int32Array | undefined, expected: readonly number[]) => got?.join() === expected.join();
  const rows = run.tokenized_first_12.filter(
    ({ input_ids: ids, labels }, index) =>
      !same(examples[index]?.ids, ids) || (labels !== undefined && !same(examples[index]?.labels, labels)),
  );
  const size = run.args.per_device_train_batch_size;
  const collated = run.collated_first_4.flatMap((batch, number) =>
    batch.attention_mask.filter((mask, row) => {
      const example = examples[number * size + row];
      const real = (values: readonly number[] | undefined) => (values ?? []).filter((_, column) => mask[column] === 1);
      return !same(example?.ids, real(batch.input_ids[row])) || !same(example?.labels, real(batch.labels[row]));
    }),
  );
  return [measured(`${name}/tokenized`, rows.length, 0), measured(`${name}/collated`, collated.length, 0)];
}

function history(
  name: string,
  run: Run,
  logs: readonly LogEvent<SFTMetrics>[],
  examples: readonly Example[],
): Outcome[] {
  const worst = (error: (log: LogEvent<SFTMetrics>, expected: Run["history"][number], index: number) => number) =>
    logs.length === run.history.length
      ? Math.max(...run.history.map((expected, index) => error(logs[index] as LogEvent<SFTMetrics>, expected, index)))
      : Number.POSITIVE_INFINITY;
  return [
    measured(
      `${name}/loss`,
      worst((log, expected) => relative(log.loss, expected.loss)),
      2e-5,
    ),
    measured(
      `${name}/grad_norm`,
      worst((log, expected) => relative(log.gradNorm, expected.grad_norm)),
      1e-4,
    ),
    measured(
      `${name}/learning_rate`,
      worst((log, expected) => relative(log.learningRate, expected.learning_rate)),
      1e-9,
    ),
    measured(
      `${name}/entropy`,
      worst((log, expected) => relative(log.entropy, expected.entropy)),
      1e-5,
    ),
    measured(
      `${name}/num_tokens`,
      worst((log, expected) => Math.abs(log.numTokens - expected.num_tokens)),
      0,
    ),
    measured(
      `${name}/epoch`,
      worst((log, expected) => relative(log.epoch, expected.epoch)),
      1e-9,
    ),
    measured(
      `${name}/mean_token_accuracy`,
      worst((log, expected) => Math.abs(log.meanTokenAccuracy - expected.mean_token_accuracy)),
      oneToken(run, examples),
    ),
  ];
}

/** What one token more or less does to the accuracy of the smallest micro-batch. */
function oneToken(run: Run, examples: readonly Example[]): number {
  const size = run.args.per_device_train_batch_size;
  const trained = (example: Example) => example.labels.slice(1).filter((label) => label >= 0).length;
  let fewest = Number.POSITIVE_INFINITY;
  for (let start = 0; start < examples.length; start += size) {
    fewest = Math.min(
      fewest,
      examples.slice(start, start + size).reduce((sum, example) => sum + trained(example), 0),
    );
  }
  return 1 / fewest;
}

function evaluations(name: string, run: Run, evals: readonly EvalEvent<SFTMetrics>[]): Outcome[] {
  const pairs = [
    ["eval_before", evals[0], run.eval_before],
    ["eval_after", evals.at(-1), run.eval_after],
  ] as const;
  return pairs.flatMap(([when, got, expected]) => [
    measured(`${name}/${when}/loss`, relative(got?.evalLoss ?? Number.NaN, expected.eval_loss), 2e-5),
    measured(`${name}/${when}/entropy`, relative(got?.evalEntropy ?? Number.NaN, expected.eval_entropy), 1e-5),
    measured(
      `${name}/${when}/accuracy`,
      Math.abs((got?.evalMeanTokenAccuracy ?? Number.NaN) - expected.eval_mean_token_accuracy),
      5e-3,
    ),
  ]);
}
