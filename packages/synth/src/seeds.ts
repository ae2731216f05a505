// Seed tasks: what a person writes, from a file or a program.
import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { canonicalName, DataError, expandHome, fileOperation, nearestName } from "@tunesmith/core";
import { parsedLine, splitLines } from "./json-lines.ts";

/** One answered case of a task. */
export interface TaskInstance {
  /** What the instruction is applied to; empty where it needs nothing. */
  input: string;
  output: string;
}

/** A task that a person wrote. */
export interface SeedTask {
  /** Default: its place, `seed-1`. */
  id?: string;
  instruction: string;
  /** Answered cases; they become rows where `includeSeeds` says so. Default: none. */
  instances?: readonly { input?: string; output: string }[];
  /** Whether its answers are labels. Files may write `is_classification`. Default false. */
  isClassification?: boolean;
}

/** A task of the pool. */
export interface SynthTask {
  /** `generated-1` …, or that of the seed. */
  id: string;
  instruction: string;
  isClassification: boolean;
  instances: TaskInstance[];
  /** The instruction of the pool that was most like it when it was kept, by ROUGE-L; null for seeds and where none shared a word. */
  mostSimilar: SimilarInstruction | null;
}

/** An instruction of the pool, and how like it a candidate is. */
export interface SimilarInstruction {
  instruction: string;
  /** ROUGE-L F-measure, 0 to 1. */
  score: number;
}

/** Keys of a task, `mostSimilar` in the tasks of a run alone, and those that are refused beside its instances. */
const taskKeys = ["id", "instruction", "instances", "isClassification", "mostSimilar", "input", "output"];
const instanceKeys = ["input", "output"];

/** Reads seed tasks: JSONL of a file, or a list. What is wrong with one is a `DataError` that names its line or place. */
export async function readSeeds(seeds: string | readonly SeedTask[]): Promise<SynthTask[]> {
  const tasks = typeof seeds === "string" ? await fromFile(expandHome(seeds)) : seeds.map(ofProgram);
  if (tasks.length === 0) throw new DataError("[seeds] expected at least one task, got none; give some");
  const ids = tasks.map(({ id }) => id);
  const twice = ids.find((id, n) => ids.indexOf(id) < n);
  if (twice !== undefined)
    throw new DataError(`[seeds] expected every id once, got "${twice}" twice; give each task its own`);
  return tasks;
}

async function fromFile(path: string): Promise<SynthTask[]> {
  const { lines, rest } = splitLines(withoutMark(await fileOperation("read", path, () => readFile(path)), path));
  const all = rest === "" ? lines : [...lines, rest];
  return all.flatMap((text, n) => {
    if (text.trim() === "") return [];
    const place = `${path}:${n + 1}`;
    return [taskOf(parsedLine(text, place), n, place)];
  });
}

/** The bytes of a text in UTF-8, without the mark that editors on Windows put before it. */
function withoutMark(bytes: Buffer, path: string): Buffer {
  if (!isUtf8(bytes)) throw new DataError(`[${path}] expected UTF-8, got other bytes; save the file as UTF-8`);
  return bytes.subarray(bytes.indexOf("\uFEFF") === 0 ? 3 : 0);
}

function ofProgram(task: SeedTask, n: number): SynthTask {
  return taskOf(task, n, `seeds[${n}]`);
}

function taskOf(value: unknown, n: number, place: string): SynthTask {
  const { id, instruction, instances, input, output, isClassification, is_classification } = recordOf(
    value,
    place,
    "a task",
  );
  refuseMisspelt(value as object, taskKeys, place);
  if (input !== undefined || output !== undefined)
    throw new DataError(
      `[${place}] expected input and output in instances, as [{"input": …, "output": …}], got them beside the instruction; move them`,
    );
  const labels = isClassification ?? is_classification ?? false;
  if (typeof labels !== "boolean")
    throw new DataError(`[${place}] expected is_classification to be true or false, got ${shown(labels)}; correct it`);
  if (instances !== undefined && !Array.isArray(instances))
    throw new DataError(`[${place}] expected instances to be a list, got ${shown(instances)}; correct it`);
  return {
    id: idOf(id, n, place),
    instruction: filled(instruction, `[${place}] expected "instruction"`).trim(),
    isClassification: labels,
    instances: ((instances as unknown[] | undefined) ?? []).map((entry, at) =>
      instanceOf(entry, `${place} instances[${at}]`),
    ),
    mostSimilar: null,
  };
}

/** Other keys are the user's own; one that is nearly a known one is a slip that would cost its value. */
function refuseMisspelt(given: object, known: readonly string[], place: string): void {
  for (const name of Object.keys(given)) {
    const meant = known.includes(canonicalName(name)) ? null : nearestName(canonicalName(name), known);
    if (meant !== null)
      throw new DataError(`[${place}] expected a known key, got ${shown(name)}; did you mean ${shown(meant)}?`);
  }
}

function idOf(id: unknown, n: number, place: string): string {
  if (id === undefined || id === null || id === "") return `seed-${n + 1}`;
  if (typeof id === "string" || typeof id === "number") return String(id);
  throw new DataError(`[${place}] expected "id" to be a text, got ${shown(id)}; correct it`);
}

function instanceOf(value: unknown, place: string): TaskInstance {
  const { input = "", output } = recordOf(value, place, "an instance");
  refuseMisspelt(value as object, instanceKeys, place);
  if (typeof input !== "string")
    throw new DataError(`[${place}] expected "input" to be a text, got ${shown(input)}; correct it`);
  return { input, output: filled(output, `[${place}] expected "output"`) };
}

function recordOf(value: unknown, place: string, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new DataError(`[${place}] expected ${what} as an object, got ${shown(value)}; correct it`);
}

function filled(value: unknown, expected: string): string {
  if (typeof value === "string" && value.trim() !== "") return value;
  throw new DataError(`${expected} to be a text that is not empty, got ${shown(value)}; correct it`);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 60);
}
