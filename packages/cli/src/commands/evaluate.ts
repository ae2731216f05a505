// `tunesmith eval`: measures a model, or the result of a run, on held-out rows.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import {
  AbortError,
  expandHome,
  OptionError,
  type OptionKeys,
  onlyGiven,
  type ParsedSFTConfig,
  sortOptionsBeside,
  terminalText,
} from "@tunesmith/core";
import type { EvaluateOptions, EvaluationProgress, FastLanguageModel } from "@tunesmith/sdk";
import pc from "picocolors";
import { evalSchemas } from "../flags.ts";
import { display } from "../view/display.ts";
import { environmentLine } from "../view/environment-line.ts";
import { evaluationLines } from "../view/evaluation-lines.ts";
import { type Output, Screen } from "../view/screen.ts";
import { Interrupt } from "./interrupt.ts";
import { openModel, revisionOf } from "./load-model.ts";
import { openDataset } from "./open-datasets.ts";
import { modelOf, type Target } from "./run-target.ts";
import type { Streams } from "./train.ts";
import { required } from "./write.ts";

/** Flags besides those of the schemas. */
interface EvalFlags {
  data?: string;
  adapter?: string;
  base?: string;
  metrics?: string;
  output?: string;
  json?: boolean;
}

const keys: OptionKeys<EvalFlags> = {
  data: "optional",
  adapter: "optional",
  base: "optional",
  metrics: "optional",
  output: "optional",
  json: "optional",
};

/** `tunesmith eval`. Gives the exit code: 0, or that of the signal that stopped it. */
export async function evaluateTarget(
  target: string,
  flags: Record<string, unknown>,
  { out, err }: Streams,
): Promise<number> {
  const found = await modelOf(target, flags.adapter as string | undefined);
  // Flags beat how the run held its weights and read its rows.
  const all = { ...found.weights, ...flags };
  const [sorted, { data, base, metrics, output, json = false }] = sortOptionsBeside(
    evalSchemas,
    keys,
    all,
    "tunesmith eval",
  );
  const { evaluation, reading, sampling, place, modelConfig } = sorted;
  const file = required("--data", data, "a file of held-out rows");
  const told = json ? err : out;
  told.write(`${environmentLine(place)}\n`);
  const held = { ...place, ...modelConfig };
  const options = {
    ...{ ...evaluation, ...sampling, args: { ...readingOf(found), ...onlyGiven(reading, flags) } },
    data: await openDataset(file, err),
    metrics: metrics === undefined ? {} : await metricsOf(expandHome(metrics)),
    ...(output !== undefined && { answersFile: expandHome(output) }),
  };
  const adapter = found.adapter === null ? {} : { adapter: found.adapter };
  const model = await openModel(found.model, err, { ...held, ...adapter, ...revisionOf(found.revision) });
  let other: FastLanguageModel | null = null;
  try {
    const chosen = await baseOf(base, found);
    if (chosen !== null)
      other = await openModel(chosen.model, err, {
        ...held,
        ...(chosen.adapter !== null && { adapter: chosen.adapter }),
        ...revisionOf(chosen.revision),
      });
    const compared = other !== null ? { base: other } : base === "none" ? { base: false } : {};
    return await toEnd(model, { ...options, ...compared }, json, { out, err });
  } finally {
    await model.dispose();
    await other?.dispose();
  }
}

/** Of the options of a run those that say how its rows are read: the same here, unless a flag says otherwise. */
function readingOf({ run }: Target): Partial<ParsedSFTConfig> {
  if (run === null) return {};
  // Rows that are evaluated have one answer: what a run says of the form of its pairs is not of them.
  const ofPairs = run.trainer === "dpo" ? ["datasetFormat", "columns"] : [];
  const names = Object.keys(evalSchemas.reading.shape).filter((name) => !ofPairs.includes(name));
  return Object.fromEntries(Object.entries(run.args).filter(([name]) => names.includes(name)));
}

/** Another model to compare with: the one that is named, or of a run without an adapter what it began with. */
async function baseOf(
  name: string | undefined,
  { run, adapter }: Target,
): Promise<Pick<Target, "model" | "revision" | "adapter"> | null> {
  if (name === "none") return null;
  if (name !== undefined) return modelOf(name, undefined);
  return run !== null && adapter === null ? { ...run.base, adapter: null } : null;
}

/** The functions that a module exports. */
async function metricsOf(path: string): Promise<NonNullable<EvaluateOptions["metrics"]>> {
  const exported = await import(pathToFileURL(resolve(path)).href).catch((cause: unknown) => {
    throw new OptionError(`[--metrics] expected a module of JavaScript, got ${path}: ${String(cause)}; correct it`, {
      cause,
    });
  });
  const functions = Object.entries(exported as Record<string, unknown>).filter(
    ([, value]) => typeof value === "function",
  );
  if (functions.length > 0) return Object.fromEntries(functions) as NonNullable<EvaluateOptions["metrics"]>;
  throw new OptionError(
    `[--metrics] expected a module that exports functions, got ${path} without one; write: export const NAME = ({ answer, reference }) => …`,
  );
}

/** Evaluates, shows how it goes, and prints the tables. */
async function toEnd(
  model: FastLanguageModel,
  options: EvaluateOptions,
  json: boolean,
  { out, err }: { out: Output; err: Output },
): Promise<number> {
  const screen = new Screen(json ? err : out);
  const interrupt = new Interrupt((signal) => {
    screen.settle();
    screen.print(pc.yellow(signal === "first" ? "stopping: answers so far are kept" : "stopped at once"));
  });
  try {
    const onProgress = (progress: EvaluationProgress) => screen.status(statusOf(progress));
    const { evaluate } = await import("@tunesmith/sdk");
    const { rows: _, ...found } = await evaluate(model, { ...options, signal: interrupt.signal, onProgress });
    screen.clear();
    for (const warning of found.warnings) err.write(`${pc.yellow("warning:")} ${terminalText(warning)}\n`);
    out.write(json ? `${terminalText(JSON.stringify(found))}\n` : evaluationLines(found));
    if (options.answersFile !== undefined) (json ? err : out).write(`saved    ${display(options.answersFile)}\n`);
    return 0;
  } catch (error) {
    screen.settle();
    if (!(error instanceof AbortError) || interrupt.exitCode === null) throw error;
    screen.print(terminalText(error.message));
    return interrupt.exitCode;
  } finally {
    interrupt.dispose();
  }
}

function statusOf({ contender, phase, done, rows }: EvaluationProgress): string {
  return `${pc.bold("eval")}  ${contender === "base" ? "base  " : ""}${phase}  ${done}/${rows}`;
}
