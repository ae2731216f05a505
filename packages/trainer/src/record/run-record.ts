// A run as its folder tells it, running, stopped or finished: its options, its metrics, its answers, its report.
import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { CheckpointError, FileSystemError } from "@tunesmith/core";
import { parse } from "yaml";
import * as z from "zod";

/** A line of `metrics.jsonl`: numbers by name; null where one is not finite. */
export type MetricLine = { step: number } & Readonly<Record<string, number | null>>;

/** A line of `samples.jsonl`. */
export interface SampleLine {
  step: number;
  prompt: string;
  completion: string;
  reference: string | null;
}

/** Half a line at the end of a file is one that is being written; what a stranger put there is no line of a run. */
const metricLine = z.object({ step: z.number() }).catchall(z.number().nullable().catch(null));
const sampleLine = z.object({
  step: z.number(),
  prompt: z.string(),
  completion: z.string(),
  reference: z.string().nullable().default(null),
});

const number = z.number().nullable().catch(null);
const evaluation = z.object({ evalLoss: number }).nullable().catch(null);
const dataReport = z
  .object({
    source: z.string(),
    format: z.string(),
    rows: z.number(),
    kept: z.number(),
    truncated: z.number(),
    truncatedReplies: z.number(),
    duplicates: z.number(),
    trainedShare: z.number(),
    tokens: z.object({ min: number, median: number, p95: number, max: number, total: number }),
    dropped: z.array(z.object({ source: z.string(), line: z.number(), reason: z.string() })),
  })
  .nullable()
  .catch(null);

/** What is read of `report.json`; one of an earlier version lacks what was not written then. */
const reportSchema = z.looseObject({
  steps: z.number(),
  epochs: number,
  stoppedBy: z.string().catch(""),
  trainLoss: number,
  eval: z
    .object({
      before: evaluation,
      after: evaluation,
      metricForBestModel: z.string().catch("eval_loss"),
      best: number,
      bestStep: number,
    })
    .catch({ before: null, after: null, metricForBestModel: "eval_loss", best: null, bestStep: null }),
  tokens: number,
  seconds: number,
  estimatedSeconds: number,
  estimatedAfterStep: number,
  tokensPerSecond: number,
  peakMemoryBytes: number,
  enginePeakBytes: number,
  estimatedBytes: number,
  adapterBytes: number,
  lossHash: z.string().catch(""),
  chatTemplateSha256: z.string().nullable().catch(null),
  warnings: z.array(z.string()).catch([]),
  health: z
    .array(
      z.object({
        rule: z.string(),
        step: z.number(),
        message: z.string(),
        remedy: z.string(),
        rows: z.array(z.string()).catch([]),
      }),
    )
    .catch([]),
  data: dataReport,
  evalData: dataReport,
});

/** What is read of `report.json`. */
export type RunReport = z.output<typeof reportSchema>;

/** A run as its folder tells it. */
export interface RunRecord {
  path: string;
  /** Name of its folder. */
  name: string;
  /** What stands in `config.resolved.yaml`. */
  options: Readonly<Record<string, unknown>>;
  /** Log lines and evaluations, by step. */
  logs: readonly MetricLine[];
  evaluations: readonly MetricLine[];
  samples: readonly SampleLine[];
  /** Null of a run that has not ended, or not well. */
  report: RunReport | null;
}

/** The options of a run in its folder. */
export const configName = "config.resolved.yaml";

/** Reads the folder of a run. One without a readable configuration is a `FileSystemError` or `CheckpointError` that names it. */
export async function readRun(folder: string): Promise<RunRecord> {
  const path = resolve(folder);
  const config = join(path, configName);
  const text = await readFile(config, "utf8").catch((cause: Error) => {
    throw new FileSystemError(`[${config}] expected the options of a run, got ${cause.message}; name a run folder`, {
      cause,
    });
  });
  const [metrics, samples, report] = await Promise.all([
    lines(join(path, "metrics.jsonl"), metricLine),
    lines(join(path, "samples.jsonl"), sampleLine),
    readFile(join(path, "report.json"), "utf8").catch(() => null),
  ]);
  const isEvaluation = (line: MetricLine) => Object.keys(line).some((name) => name.startsWith("eval_"));
  return {
    path,
    name: basename(path),
    options: optionsIn(text, config),
    logs: metrics.filter((line) => !isEvaluation(line)),
    evaluations: metrics.filter(isEvaluation),
    samples,
    report: report === null ? null : reportIn(report),
  };
}

function optionsIn(text: string, path: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    const [line] = (cause as Error).message.split("\n");
    throw new CheckpointError(`[${path}] expected the options of a run, got ${line}; correct it`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new CheckpointError(
    `[${path}] expected the options of a run, got ${JSON.stringify(value)?.slice(0, 80)}; correct it`,
  );
}

/** What cannot be read of a report is that of a run which has not ended. */
function reportIn(text: string): RunReport | null {
  try {
    return reportSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

async function lines<T>(path: string, schema: z.ZodType<T>): Promise<T[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    try {
      const { data } = schema.safeParse(JSON.parse(line));
      return data === undefined ? [] : [data];
    } catch {
      return [];
    }
  });
}
