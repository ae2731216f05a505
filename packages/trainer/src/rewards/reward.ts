// Reward functions, as a program gives them and as they are called.
import { type Message, OptionError } from "@tunesmith/core";

/** Where a run is when it asks for rewards. */
export interface RewardState {
  /** The step that waits for them, from 1. */
  step: number;
  totalSteps: number;
  /** Passes over the prompts done before it. */
  epoch: number;
  /** Number of the generation, from 0. */
  generation: number;
}

/**
 * What a reward function is given: the completions of one prompt. Lists have an entry for each of them. Every other column of the rows is
 * there under its name, as a list as well.
 */
export interface RewardInput {
  /** The prompt, as its row has it: a text, or messages. */
  prompts: readonly (string | readonly Message[])[];
  /** Completions as text, special tokens left out. */
  completions: readonly string[];
  /** Completions as token ids, the end of sequence included where it was written. */
  completionIds: readonly Int32Array[];
  state: RewardState;
  /** Adds a number to the metrics: what is logged is the mean of all that a generation gave. */
  logMetric(name: string, value: number): void;
  /**
   * Adds a column to completions.jsonl, a value for each completion. Where two functions give one of the same name, that of the second is
   * written as `FUNCTION/COLUMN`. Throws for a name that the file itself has.
   */
  logExtra(column: string, values: readonly unknown[]): void;
  readonly [column: string]: unknown;
}

/** Rates completions: a number for each, higher is better; null where it has nothing to say of one. It may be called twice for the same. */
export type RewardFunction = (input: RewardInput) => readonly (number | null)[] | Promise<readonly (number | null)[]>;

/** A reward function with a name of its own. */
export interface RewardObject {
  /** In metrics, as `rewards/NAME/mean`, in errors and in completions.jsonl. */
  name: string;
  reward: RewardFunction;
}

/** Columns that completions.jsonl has of every completion. */
export const fileColumns: readonly string[] = [
  "step",
  "generation",
  "prompt",
  "completion",
  "rewards",
  "reward",
  "advantage",
  "place",
];

/** Columns that a row cannot have, since they are what every reward function is given. */
export const reservedColumns: readonly string[] = [
  "prompts",
  "completions",
  "completionIds",
  "state",
  "logMetric",
  "logExtra",
];

/** Reward functions by their names. What is none, and a name that two have, is an `OptionError`. */
export function namedRewards(given: unknown): RewardObject[] {
  const list = Array.isArray(given) ? given : [given];
  if (list.length === 0)
    throw new OptionError("[rewardFuncs] expected at least one reward function, got none; give one");
  const named = list.map((entry: unknown, index): RewardObject => {
    const place = `rewardFuncs[${index}]`;
    if (typeof entry === "function")
      return { name: entry.name === "" ? `reward${index + 1}` : entry.name, reward: entry as RewardFunction };
    const { name, reward } = (entry ?? {}) as Partial<Record<"name" | "reward", unknown>>;
    if (typeof reward !== "function")
      throw new OptionError(`[${place}] expected a function, or { name, reward }, got ${String(entry)}; give one`);
    if (typeof name !== "string" || !/^[\w.-]+$/u.test(name))
      throw new OptionError(
        `[${place}.name] expected letters, digits, ".", "-" or "_", got ${JSON.stringify(name)}; correct it`,
      );
    return { name, reward: reward as RewardFunction };
  });
  for (const [index, { name }] of named.entries())
    if (named.findIndex((other) => other.name === name) !== index)
      throw new OptionError(
        `[rewardFuncs] expected names of their own, got ${JSON.stringify(name)} twice; give one as { name, reward }`,
      );
  return named;
}
