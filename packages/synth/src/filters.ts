// The filters by name: which are on, what they drop, and how much they have dropped.
import { type ParsedSelfInstructConfig, type SelfInstructFilter, selfInstructFilters } from "@tunesmith/core";

/** What a run does, in this order. */
export type SelfInstructStep = "instructions" | "classification" | "instances" | "rows";

/** What a filter has done. */
export interface FilterReport {
  name: SelfInstructFilter;
  /** What it drops. */
  what: string;
  /** False: it was switched off and dropped nothing. */
  enabled: boolean;
  /** Candidates dropped by it; each candidate counts for the first filter that drops it. */
  dropped: number;
}

/** What each filter drops, and where. */
const meanings: Readonly<Record<SelfInstructFilter, readonly [step: SelfInstructStep, what: string]>> = {
  "cut-reply": ["instructions", "all of a reply that was cut at its length"],
  "too-short": ["instructions", "3 words or fewer"],
  "too-long": ["instructions", "more than 150 words"],
  blocklist: ["instructions", "a word that is about more than text (blocklist)"],
  "write-a-program": ["instructions", 'begins with "Write a program"'],
  "leading-punctuation": ["instructions", "begins with punctuation"],
  "leading-non-ascii": ["instructions", "begins with a character outside ASCII"],
  similar: ["instructions", "ROUGE-L with an instruction of the pool above maxSimilarity"],
  "cut-example": ["instances", "the last example of a reply that was cut at its length"],
  "same-as-input": ["instances", "output equals input"],
  "empty-output": ["instances", "no output"],
  "ends-with-colon": ["instances", "input or output ends with a colon"],
  "conflicting-outputs": ["instances", "all of a task that gives one input two outputs"],
  "duplicate-instance": ["instances", "equals an earlier instance of its task"],
  "instances-per-task": ["instances", "drawn out of a task with more than maxInstancesPerTask"],
  "duplicate-row": ["rows", "equals an earlier row, prompt and completion"],
};

/** The filters of a run. */
export class Filters {
  readonly #dropped = new Map<SelfInstructFilter, number>();
  readonly #off: ReadonlySet<SelfInstructFilter>;

  constructor({ withoutFilters }: Pick<ParsedSelfInstructConfig, "withoutFilters">) {
    this.#off = new Set(withoutFilters.flatMap((name) => (name === "all" ? selfInstructFilters : [name])));
  }

  /** Whether a filter drops what it applies to; if so, that is counted. */
  drops(name: SelfInstructFilter, applies: boolean, count = 1): boolean {
    if (!applies || this.#off.has(name)) return false;
    this.#dropped.set(name, (this.#dropped.get(name) ?? 0) + count);
    return true;
  }

  /** The filters of a step, in their order. */
  report(step: SelfInstructStep): FilterReport[] {
    return selfInstructFilters
      .filter((name) => meanings[name][0] === step)
      .map((name) => ({
        name,
        what: meanings[name][1],
        enabled: !this.#off.has(name),
        dropped: this.#dropped.get(name) ?? 0,
      }));
  }
}
