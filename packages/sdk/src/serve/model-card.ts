// A model card: what a finished run was made of and how it went, as the README.md that people read on the Hugging Face Hub. It takes
// known facts only, so that no path, no row and no token of an account gets into it.
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ArgumentError, exists, replaceFile } from "@tunesmith/core";
import { readRunConfig } from "@tunesmith/trainer";
import { type LossPoint, lossFigure } from "./loss-figure.ts";

/** The line by which a file says that it was written here. */
const mark = "<!-- Written by Tunesmith. -->";
const figureName = "training-loss.svg";

/** How a model card is written. */
export interface ModelCardOptions {
  /** Where to. Default: `README.md` in the run folder. */
  path?: string;
  /** Replace an earlier card of ours. Default false: refused. */
  overwrite?: boolean;
}

/** A model card that was written. */
export interface ModelCard {
  path: string;
  /** Its figure, beside it; null for a run of less than two steps. */
  figure: string | null;
}

/** The options that decide what was trained, in the order of the card. */
const settings = [
  ...["r", "loraAlpha", "loraDropout", "useRslora", "useDora", "fullFinetuning", "loadIn4bit", "dtype"],
  ...["learningRate", "lrSchedulerType", "warmupSteps", "optim", "weightDecay", "maxGradNorm", "neftuneNoiseAlpha"],
  ...["perDeviceTrainBatchSize", "gradientAccumulationSteps", "numTrainEpochs", "maxSteps", "maxLength", "packing"],
  ...["assistantOnlyLoss", "completionOnlyLoss", "lossType", "beta", "seed"],
];

/** What each trainer does, in words. */
const methods = {
  sft: "supervised fine-tuning",
  dpo: "direct preference optimization (arXiv:2305.18290)",
  grpo: "group relative policy optimization",
};

interface DataReport {
  source?: string;
  format?: string;
  rows?: number;
  kept?: number;
  duplicates?: number;
  truncated?: number;
  trainedTokens?: number;
  tokens?: { median?: number; max?: number; total?: number };
}

interface Report {
  steps: number;
  epochs: number;
  tokens: number;
  trainLoss: number;
  tokensPerSecond: number;
  seconds: number;
  loadedBestStep: number | null;
  eval: { before: Record<string, number> | null; after: Record<string, number> | null };
  data: DataReport;
  evalData: DataReport | null;
}

interface Environment {
  tunesmith: string;
  backend: string;
  cpu: { model: string };
  model: { name: string };
  totalParameters: number;
  trainableParameters: number;
}

/**
 * Writes the card of a finished run, and the curve of its losses beside it.
 *
 * @throws ArgumentError where the run has not finished, or a file is at that place that was not written here
 */
export async function writeModelCard(run: string, options: ModelCardOptions = {}): Promise<ModelCard> {
  const path = options.path ?? join(run, "README.md");
  await refuseForeign(path, options.overwrite === true);
  if (!(await exists(join(run, "report.json"))))
    throw new ArgumentError(
      `[${run}] expected a finished run, got a folder without report.json; finish the run with: tunesmith resume ${run}`,
    );
  const report = (await readJson(join(run, "report.json"))) as Report;
  const environment = (await readJson(join(run, "env.json"))) as Environment;
  const { training, evaluation } = await losses(join(run, "metrics.jsonl"));
  const svg = lossFigure(training, evaluation);
  const figure = svg === null ? null : join(dirname(path), figureName);
  if (svg !== null && figure !== null) await replaceFile(figure, svg);
  await replaceFile(path, await cardOf(run, report, environment, figure !== null));
  return { path, figure };
}

async function cardOf(run: string, report: Report, environment: Environment, hasFigure: boolean): Promise<string> {
  const config = await readRunConfig(run);
  // Of a path only its last part is told.
  const base = config.modelRevision === null ? environment.model.name : config.model;
  const options = { ...config.modelConfig, ...config.args, ...config.peftConfig } as unknown as Record<string, unknown>;
  const adapter = options.fullFinetuning !== true;
  return `${[
    "---",
    ...(config.modelRevision === null ? [] : [`base_model: ${base}`]),
    `library_name: ${adapter ? "peft" : "transformers"}`,
    "pipeline_tag: text-generation",
    `tags: [tunesmith, ${config.trainer}${adapter ? ", lora" : ""}]`,
    "---",
    mark,
    "",
    `# ${base}, fine-tuned`,
    "",
    `${adapter ? "A LoRA adapter of" : "All weights of"} ${base} (${count(environment.totalParameters)} parameters, ` +
      `${count(environment.trainableParameters)} trained), by ${methods[config.trainer]} with Tunesmith ${environment.tunesmith}.`,
    "",
    "## Data",
    "",
    table(["", "training", ...(report.evalData === null ? [] : ["held out"])], dataRows(report)),
    "",
    "## Settings",
    "",
    table(["option", "value"], settingRows(options)),
    "",
    "## Training",
    "",
    `${count(report.steps)} steps, ${round(report.epochs)} epochs, ${count(report.tokens)} tokens in ${round(report.seconds)} s ` +
      `(${round(report.tokensPerSecond)} tokens/s on ${environment.backend === "cpu" ? environment.cpu.model : environment.backend}). ` +
      `Mean training loss ${round(report.trainLoss)}.` +
      (report.loadedBestStep === null ? "" : ` The weights are those of step ${report.loadedBestStep}, the best.`),
    ...(hasFigure ? ["", `![Loss by step](${figureName})`] : []),
    "",
    "## Evaluation",
    "",
    evaluationOf(report, config.trainer === "sft"),
  ].join("\n")}\n`;
}

function dataRows({ data, evalData }: Report): string[][] {
  const sets = evalData === null ? [data] : [data, evalData];
  const row = (name: string, of: (set: DataReport) => string | undefined) => [
    name,
    ...sets.map((set) => of(set) ?? ""),
  ];
  const number = (name: string, of: (set: DataReport) => number | undefined) =>
    row(name, (set) => (of(set) === undefined ? undefined : count(of(set) as number)));
  return [
    row("source", ({ source }) => (source === undefined ? undefined : cell(sourceName(source)))),
    row("format", ({ format }) => format),
    number("rows", ({ rows }) => rows),
    number("rows kept", ({ kept }) => kept),
    number("duplicates", ({ duplicates }) => duplicates),
    number("rows cut to the length", ({ truncated }) => truncated),
    number("tokens", ({ tokens }) => tokens?.total),
    number("tokens trained on", ({ trainedTokens }) => trainedTokens),
    number("tokens of the median row", ({ tokens }) => tokens?.median),
  ].filter(([, ...values]) => values.some((value) => value !== ""));
}

/** The last part of a path; a name of the Hub, which has one slash and no beginning, as it is. */
function sourceName(source: string): string {
  return /^[\w.-]+\/[\w.-]+( \(.*\))?$/u.test(source) && !/\.\w{2,7}( |$)/u.test(source) ? source : basename(source);
}

/** Numbers, flags and names: never a path or a text. */
function settingRows(options: Record<string, unknown>): string[][] {
  return settings.flatMap((name) => {
    const values = [options[name]].flat();
    const plain = values.every(
      (value) => typeof value === "number" || value === true || (typeof value === "string" && /^[\w.-]+$/u.test(value)),
    );
    return plain ? [[`\`${name}\``, values.join(", ")]] : [];
  });
}

/** @param ofTokens whether the loss is a mean over tokens, of which there is a perplexity */
function evaluationOf({ eval: { before, after } }: Report, ofTokens: boolean): string {
  if (after === null) return "The run had no held-out rows.";
  const names = Object.keys(after).filter((name) => typeof after[name] === "number");
  const rows = names.map((name) => [
    `\`${name}\``,
    before?.[name] === undefined ? "" : round(before[name]),
    round(after[name] as number),
  ]);
  const loss = after.evalLoss;
  return `${table(["held-out rows", "before", "after"], rows)}${
    loss === undefined || !ofTokens
      ? ""
      : `\n\nPerplexity of the trained tokens after training: ${round(Math.exp(loss))}.`
  }`;
}

async function losses(path: string): Promise<{ training: LossPoint[]; evaluation: LossPoint[] }> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line.trim() !== "");
  const metrics = lines.map((line) => JSON.parse(line) as { step: number; loss?: number; eval_loss?: number });
  const of = (key: "loss" | "eval_loss") =>
    metrics.flatMap((line) => (Number.isFinite(line[key]) ? [{ step: line.step, loss: line[key] as number }] : []));
  return { training: of("loss"), evaluation: of("eval_loss") };
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8"));
}

async function refuseForeign(path: string, overwrite: boolean): Promise<void> {
  if (!(await exists(path))) return;
  const ours = (await readFile(path, "utf8").catch(() => "")).includes(mark);
  if (ours && overwrite) return;
  const got = ours ? "an earlier one; ask to overwrite it" : "a file that was not written here; give another path";
  throw new ArgumentError(`[${path}] expected no file where the model card goes, got ${got}`);
}

const table = (head: readonly string[], rows: readonly string[][]) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
const count = (value: number) => value.toLocaleString("en-US");
const round = (value: number) => String(Number(value.toPrecision(4)));
