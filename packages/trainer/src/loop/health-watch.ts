// Asks the rules of a run's health, tells what they find, and ends the run where onHealth says so.
import { totalmem } from "node:os";
import { CallbackError, HealthError, optimizerOptions, terminalText } from "@tunesmith/core";
import {
  type HealthFinding,
  type HealthReport,
  type HealthRule,
  type HealthRun,
  type HealthView,
  healthText,
} from "../health/rule.ts";
import { parseFinding, rulesOf } from "../health/rules.ts";
import { emptyHealth, type HealthState, isTold } from "../health/state.ts";
import { freeMemory } from "../memory/free-memory.ts";
import type { ActiveRun } from "./active-run.ts";
import type { ReadyRun } from "./ready-run.ts";

/** What has just happened, and what is known of it alone. */
interface Moment {
  event: HealthView["event"];
  rows?: HealthView["rows"];
  /** Ids of untrained tokens in the rows of a step. */
  untrainedTokens?: readonly number[];
}

/** Milliseconds between two looks at the memory: the system's answer takes longer than all rules together. */
const betweenLooks = 1000;

/** The rules of one run, and what they need besides its state. */
export class HealthWatch {
  readonly #rules: readonly HealthRule[];
  readonly #run: HealthRun;
  #looked = Number.NEGATIVE_INFINITY;

  constructor(ready: ReadyRun, totalSteps: number) {
    this.#rules = rulesFor(ready);
    this.#run = factsOf(ready, totalSteps);
  }

  /** What is found now and has not been told before; it counts as told from here on. */
  look(run: ActiveRun, { event, rows = [], untrainedTokens = [] }: Moment): HealthReport[] {
    const { prepared, state } = run;
    const { health } = state;
    const fresh = untrainedTokens.filter((id) => !health.untrained.includes(id));
    health.untrained.push(...fresh);
    const text = (id: number) => prepared.tokenizer.decode(Int32Array.of(id), { skipSpecialTokens: false });
    const view = {
      ...viewOf(this.#run, health, event),
      step: state.global_step,
      rows,
      untrainedTokens: fresh.map((id) => ({ id, text: text(id) })),
      memory: event === "step" ? this.#memory(run) : null,
    };
    return this.#rules.flatMap((rule) => {
      const found = ask(rule, view);
      if (found === null || isTold(health, rule.name, found.about ?? null)) return [];
      const places = (found.rows ?? []).map((row) => prepared.locate(row));
      const report = reportOf(rule, found, state.global_step, places);
      health.told.push({ ...report, about: found.about ?? null });
      return [report];
    });
  }

  #memory({ memory, session }: ActiveRun): HealthView["memory"] {
    const now = performance.now();
    if (now - this.#looked < betweenLooks) return null;
    this.#looked = now;
    const device = memory?.plan.device ?? "cpu";
    const onDevice = memory?.plan.free ?? null;
    if (onDevice !== null) return { used: session.memory().inUse, limit: onDevice, device: `${device} device` };
    if (session.info.backend !== "cpu") return null;
    const limit = limitOfHost();
    return { used: limit - freeMemory(), limit, device: "host" };
  }
}

/** Bytes that this process could have at the most: what its control groups allow, else what the machine has. */
function limitOfHost(): number {
  const allowed = process.constrainedMemory?.() ?? 0;
  return allowed > 0 ? Math.min(allowed, totalmem()) : totalmem();
}

/** Asks the rules, and tells each finding. With `onHealth: "stop"` the first ends the run with a `HealthError`. */
export async function watchHealth(run: ActiveRun, moment: Moment): Promise<void> {
  const { args, events, health, state } = run;
  const found = health.look(run, moment);
  for (const report of found) await events.emit({ type: "health", ...report });
  const [first] = found;
  if (first === undefined || args.onHealth !== "stop") return;
  const rows = first.rows.length === 0 ? "" : ` (${first.rows.join(", ")})`;
  throw new HealthError(
    `[health] expected a run without findings, got ${first.rule} after step ${state.global_step} of ${state.max_steps}: ${first.message}${rows}; ${first.remedy}`,
  );
}

/** What the rules say of a run before its first step, in words: for a dry run. */
export function foreseen(ready: ReadyRun): string[] {
  const run = factsOf(ready, ready.prepared.batches.totalSteps);
  const view = { ...viewOf(run, emptyHealth(), "start"), step: 0, rows: [], untrainedTokens: [], memory: null };
  return rulesFor(ready).flatMap((rule) => {
    const found = ask(rule, view);
    return found === null ? [] : [healthText(reportOf(rule, found, 0, []))];
  });
}

function rulesFor({ args, inputs, recipe }: ReadyRun): readonly HealthRule[] {
  return rulesOf(inputs.healthRules ?? [], recipe.healthRules?.(args) ?? []);
}

function viewOf(run: HealthRun, health: HealthState, event: HealthView["event"]) {
  const { steps, firstLosses, evaluations, samples, firstSamples } = health;
  return { event, run, steps, firstLosses, evaluations, samples, firstSamples };
}

function factsOf({ args, inputs, schedule, prepared }: ReadyRun, totalSteps: number): HealthRun {
  return {
    totalSteps,
    warmupSteps: schedule.afterStep + schedule.warmupSteps,
    learningRate: schedule.learningRate,
    optim: args.optim,
    optimizer: optimizerOptions(args).type,
    isAdapter: !inputs.peft.fullFinetuning,
    maxGradNorm: args.maxGradNorm,
    sampleMaxNewTokens: args.sampleMaxNewTokens,
    streamed: prepared.train.report.streamed === true,
  };
}

function ask(rule: HealthRule, view: HealthView): HealthFinding | null {
  try {
    return parseFinding(rule.check(view));
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new CallbackError(
      `[healthRules] expected a finding or null of the rule "${rule.name}" at step ${view.step}, got: ${message}; fix the rule`,
      { cause },
    );
  }
}

function reportOf(
  { name }: HealthRule,
  { message, value, remedy }: HealthFinding,
  step: number,
  places: readonly string[],
): HealthReport {
  // Messages hold answers of the model and names of files.
  const [safe, advice] = [terminalText(message), terminalText(remedy)];
  return { rule: name, step, message: safe, value, remedy: advice, rows: places.map((place) => terminalText(place)) };
}
