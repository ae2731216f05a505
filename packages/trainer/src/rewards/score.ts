// Asks reward functions, several at once, and keeps each answer as it comes.
import { createHash } from "node:crypto";
import type { Message } from "@tunesmith/core";
import { callHook } from "../loop/hooks/call-hook.ts";
import type { RewardJournal, StoredRewards } from "./journal.ts";
import { fileColumns, type RewardInput, type RewardObject, type RewardState } from "./reward.ts";

/** The completions of one prompt. */
export interface RewardGroup {
  prompt: string | readonly Message[];
  /** `source:line` of its row. */
  place: string;
  /** Every other column of the row. */
  columns: Readonly<Record<string, unknown>>;
  completions: readonly string[];
  completionIds: readonly Int32Array[];
}

/** What the functions said of a generation. */
export interface RewardTable {
  /** By completion: one value per function. */
  rewards: (number | null)[][];
  /** Means of what functions logged, by name. */
  metrics: Record<string, number>;
  /** By completion: columns that functions gave. */
  extra: Record<string, unknown>[];
}

/** How they are called. */
export interface RewardLimits {
  /** Seconds within which a call must settle; null: any time. */
  timeout: number | null;
  /** Calls that run at once. */
  concurrency: number;
  /** Calls again after one that failed. */
  retries: number;
  /** Told that a function held the event loop for so many milliseconds. */
  onHeld: (label: string, milliseconds: number) => void;
}

/** What is asked, and what an abort ends. */
export interface RewardRequest {
  groups: readonly RewardGroup[];
  state: RewardState;
  signal: AbortSignal;
}

interface Call {
  reward: RewardObject;
  group: RewardGroup;
  index: number;
}

/**
 * Every function on the completions of every prompt. What the journal has is not asked; each answer is in the journal before the next call
 * of its line begins. Rejects with a `CallbackError` that names function, prompt and completions once the calls in progress have ended.
 */
export async function score(
  functions: readonly RewardObject[],
  { groups, state, signal }: RewardRequest,
  limits: RewardLimits,
  journal: RewardJournal,
): Promise<RewardTable> {
  const calls = functions.flatMap((reward) => groups.map((group, index): Call => ({ reward, group, index })));
  const answers = new Map<Call, StoredRewards>();
  let [next, failure]: [number, { error: unknown } | null] = [0, null];
  const work = async () => {
    while (next < calls.length && failure === null) {
      const call = calls[next] as Call;
      next += 1;
      try {
        answers.set(call, await answerOf(call, { groups, state, signal }, limits, journal));
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limits.concurrency, calls.length) }, work));
  if (failure !== null) throw (failure as { error: unknown }).error;
  return tableOf(functions, groups, (reward, index) => {
    const call = calls.find((one) => one.reward === reward && one.index === index) as Call;
    return answers.get(call) as StoredRewards;
  });
}

async function answerOf(
  call: Call,
  { state, signal }: RewardRequest,
  limits: RewardLimits,
  journal: RewardJournal,
): Promise<StoredRewards> {
  const { reward, group, index } = call;
  const key = { generation: state.generation, reward: reward.name, prompt: index, digest: digestOf(group) };
  const stored = await journal.recorded(key);
  if (stored !== null) return stored;
  for (let tries = 0; ; tries += 1) {
    signal.throwIfAborted();
    try {
      const found = await untilAborted(asked(call, state, limits), signal);
      await journal.record(key, found);
      return found;
    } catch (error) {
      signal.throwIfAborted();
      if (tries >= limits.retries) throw error;
    }
  }
}

async function asked({ reward, group }: Call, state: RewardState, limits: RewardLimits): Promise<StoredRewards> {
  const { completions, completionIds, columns } = group;
  const count = completions.length;
  const repeated = <T>(value: T) => Array.from({ length: count }, () => value);
  const found: StoredRewards = { values: [], metrics: [], extra: {} };
  const input: RewardInput = {
    ...Object.fromEntries(Object.entries(columns).map(([name, value]) => [name, repeated(value)])),
    ...{ prompts: repeated(group.prompt), completions, completionIds, state },
    logMetric: (name, value) => {
      if (!Number.isFinite(value)) throw new TypeError(`logMetric ${name} takes a finite number, not ${value}`);
      found.metrics.push([name, value]);
    },
    logExtra: (column, values) => {
      if (values.length !== count)
        throw new TypeError(`logExtra ${column} takes ${count} values, not ${values.length}`);
      if (fileColumns.includes(column))
        throw new TypeError(`logExtra takes another name than ${column}, which every completion has`);
      found.extra[column] = [...values];
    },
  };
  const hook = {
    label: `rewardFuncs.${reward.name}`,
    expected: `a number or null for each of ${count} completions ${placeOf(group)}`,
    kind: "function",
    option: "rewardTimeout",
  } as const;
  const { timeout, onHeld } = limits;
  await callHook(hook, { timeout, onHeld }, async () => {
    found.values = checked(await reward.reward(input), count);
  });
  return found;
}

/** Numbers or nulls, one per completion. */
function checked(given: unknown, count: number): (number | null)[] {
  if (!Array.isArray(given)) throw new TypeError(`${String(given)}, which is no list`);
  if (given.length !== count) throw new TypeError(`${given.length} values`);
  return given.map((value: unknown, n) => {
    if (value === null || (typeof value === "number" && Number.isFinite(value))) return value;
    if (typeof value === "boolean") return Number(value);
    throw new TypeError(`${String(value)} for completion ${n + 1}`);
  });
}

/** The prompt and its first completion, in a few words. */
function placeOf({ prompt, place, completions }: RewardGroup): string {
  const asked = typeof prompt === "string" ? prompt : JSON.stringify(prompt.at(-1)?.content ?? "");
  const short = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  const others = completions.length > 1 ? ` and ${completions.length - 1} more` : "";
  return `(${place}: prompt ${short(asked)}, completion ${short(completions[0] ?? "")}${others})`;
}

/** An abort does not wait for a function that may never answer. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: () => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
  });
  promise.catch(() => {});
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Tells completions from others of the same place, which a changed run may have written. */
function digestOf({ prompt, completionIds }: RewardGroup): string {
  const hash = createHash("sha256").update(JSON.stringify(prompt));
  for (const ids of completionIds) hash.update(`${ids.length}:`).update(ids);
  return hash.digest("hex").slice(0, 16);
}

function tableOf(
  functions: readonly RewardObject[],
  groups: readonly RewardGroup[],
  of: (reward: RewardObject, index: number) => StoredRewards,
): RewardTable {
  const sums = new Map<string, { sum: number; count: number }>();
  const table: RewardTable = { rewards: [], metrics: {}, extra: [] };
  for (const [index, { completions }] of groups.entries()) {
    const answers = functions.map((reward) => of(reward, index));
    for (const [name, value] of answers.flatMap(({ metrics }) => metrics)) {
      const { sum, count } = sums.get(name) ?? { sum: 0, count: 0 };
      sums.set(name, { sum: sum + value, count: count + 1 });
    }
    for (const n of completions.keys()) {
      table.rewards.push(answers.map(({ values }) => values[n] ?? null));
      const extra: Record<string, unknown> = {};
      for (const [f, given] of answers.entries())
        for (const [column, values] of Object.entries(given.extra))
          extra[Object.hasOwn(extra, column) ? `${functions[f]?.name}/${column}` : column] = values[n];
      table.extra.push(extra);
    }
  }
  for (const [name, { sum, count }] of sums) table.metrics[name] = sum / count;
  return table;
}
