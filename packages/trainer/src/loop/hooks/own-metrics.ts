// Metrics of the program: evaluated where the recipe's own are, on the rows of each evaluation set.
import {
  CallbackError,
  type GenerationConfig,
  type Generator,
  type LanguageModel,
  OptionError,
  snakeCase,
} from "@tunesmith/core";
import type { ActiveRun } from "../active-run.ts";
import type { Better, Values } from "../metrics.ts";
import { callHook } from "./call-hook.ts";
import { answersTo, type EvalPrompt, type EvalRow, evalRows } from "./eval-rows.ts";

/** What a metric is computed from. */
export interface MetricContext {
  /** Rows of the evaluation set that something is left of for its loss, in their order. */
  rows: readonly EvalRow[];
  /**
   * The answers of the model as it is now, in the order of the prompts: rows, or texts, which are a user's turn where the model has a chat
   * template. `perDeviceEvalBatchSize` of them are answered together. Default: greedy, 256 tokens at most.
   */
  generate(prompts: readonly EvalPrompt[], options?: GenerationConfig): Promise<string[]>;
  /** Name of the evaluation set; null where there is one. */
  set: string | null;
  /** Steps done. */
  step: number;
  model: LanguageModel;
  /** Evaluates and generates with the weights as they are. Not to be kept. */
  session: Generator;
}

/**
 * A metric of the program: a finite number, of which more is better unless its name ends with `loss` (as TrainingArguments takes
 * `greater_is_better`).
 */
export type MetricFunction = (context: MetricContext) => number | Promise<number>;

/** Metrics by their names, in camelCase: `exactMatch` is `evalExactMatch` in events and `eval_exact_match` in files. */
export type MetricFunctions = Readonly<Record<string, MetricFunction>>;

/** The metrics of a program, checked; what they are called must be no name of the recipe's. */
export function parseMetrics(given: MetricFunctions, declared: Readonly<Record<string, Better>>): MetricFunctions {
  const taken = new Set(Object.keys(declared).map(snakeCase));
  for (const [name, metric] of Object.entries(given)) {
    const place = `metrics.${name}`;
    if (!/^[a-zA-Z]\w*$/u.test(name))
      throw new OptionError(`[${place}] expected a name of letters, digits and "_", got this; rename it`);
    if (typeof metric !== "function")
      throw new OptionError(`[${place}] expected a function, got ${typeof metric}; give one`);
    const spelling = snakeCase(fieldOf(name));
    if (taken.has(spelling))
      throw new OptionError(`[${place}] expected a name that no other metric has, got ${spelling} twice; rename it`);
    taken.add(spelling);
  }
  return given;
}

/** Which values of them are better, by their names in events. */
export function declaredOwn(metrics: MetricFunctions): Record<string, Better> {
  const better = (name: string): Better => (/loss$/iu.test(name) ? "lower" : "higher");
  return Object.fromEntries(Object.keys(metrics).map((name) => [fieldOf(name), better(name)]));
}

/** Evaluates them on one set. What throws, or is no finite number, is a `CallbackError` that names the metric. */
export async function evaluateOwn(run: ActiveRun, set: string | null): Promise<Values> {
  const { control, inputs, limits, session, state } = run;
  const { metrics = {}, model } = inputs;
  const values: Record<string, number> = {};
  for (const [name, metric] of Object.entries(metrics)) {
    const where = set === null ? "" : ` of the set ${JSON.stringify(set)}`;
    const expected = `a finite number for step ${state.global_step}${where}`;
    const hook = { label: `metrics.${name}`, expected, kind: "metric" } as const;
    const rows = await evalRows(run.prepared, set);
    const value: unknown = await callHook(hook, limits, (clock) => {
      const generate: MetricContext["generate"] = async (prompts, options = {}) => {
        clock.stop();
        try {
          return await answersTo(run, prompts, options);
        } finally {
          clock.start();
        }
      };
      return metric({ rows, generate, set, step: state.global_step, model, session });
    }).finally(() => control.signal.throwIfAborted());
    if (typeof value !== "number" || !Number.isFinite(value))
      throw new CallbackError(`[metrics.${name}] expected ${expected}, got ${shown(value)}; fix the metric`);
    values[fieldOf(name)] = value;
  }
  return values;
}

/** exactMatch → evalExactMatch. */
function fieldOf(name: string): string {
  return `eval${name[0]?.toUpperCase()}${name.slice(1)}`;
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
