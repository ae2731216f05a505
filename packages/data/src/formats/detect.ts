// Which format a row has.
import { DataError, nearestName, OptionError } from "@tunesmith/core";
import { type Format, type FormatOptions, quoted, RowError, type Task } from "./format.ts";

/** What decides the format of rows. */
export interface DetectOptions {
  /** Name of the format to use whatever the columns are, or `auto`. */
  datasetFormat: string;
  datasetTextField: FormatOptions["datasetTextField"];
  /** What the rows are wanted for. */
  task: Task;
}

type Fields = Readonly<Record<string, unknown>>;

/** Whether a row has all columns that a format needs. */
export function hasColumns(format: Format, fields: Fields, { datasetTextField }: DetectOptions): boolean {
  return format.columns({ datasetTextField }).every((column) => Object.hasOwn(fields, column));
}

/**
 * The first format, of those for the task, whose columns a row has; where none of them fits, of the others. A column whose value
 * is null counts only where nothing else fits, since tables have a value in each column of each row. Null for no format.
 */
export function detectFormat(formats: readonly Format[], fields: Fields, options: DetectOptions): Format | null {
  const fitting = (isThere: (column: string) => boolean) => {
    const found = formats.filter((format) => format.columns(options).every(isThere));
    return found.find((format) => taskOf(format) === options.task) ?? found[0];
  };
  const has = (column: string) => Object.hasOwn(fields, column);
  return fitting((column) => has(column) && (fields[column] ?? null) !== null) ?? fitting(has) ?? null;
}

/** The format that rows are said to have. A name of none, or of one for another task, is an `OptionError`. */
export function formatNamed(formats: readonly Format[], { datasetFormat: name, task }: DetectOptions): Format {
  const found = formats.find((format) => format.name === name);
  if (found === undefined) {
    const names = ["auto", ...formats.map((format) => format.name)];
    const nearest = nearestName(name, names);
    throw new OptionError(
      `[datasetFormat] expected one of ${quoted(names)}, got "${name}"; ${nearest === null ? "choose one of these" : `did you mean "${nearest}"?`}`,
    );
  }
  if (taskOf(found) !== task)
    throw new OptionError(`[datasetFormat] expected a format for ${words[task]}, got "${name}", ${elsewhere(found)}`);
  return found;
}

/** The columns that a format needs, in words. */
export function needed(format: Format, options: Pick<FormatOptions, "datasetTextField">): string {
  return format
    .columns(options)
    .map((column) => `"${column}"`)
    .join(" + ");
}

/** What to say of a row that has the columns of no format. */
export function unknownColumns(formats: readonly Format[], fields: Fields, options: DetectOptions): RowError {
  const usable = formats.filter((format) => taskOf(format) === options.task);
  const known = usable.map((format) => needed(format, options)).join(", or ");
  const given = Object.keys(fields);
  const wanted = usable.flatMap((format) => format.columns(options)).filter((column) => !given.includes(column));
  const near = given.slice(0, 100).map((name) => [name, nearestName(name, wanted)] as const);
  const [misspelt, meant] = near.find(([, nearest]) => nearest !== null) ?? [];
  const advice =
    meant === undefined
      ? 'rename them, or say which is which: columns: { prompt: "question", completion: "answer" }'
      : `did you mean "${meant}" for ${quoted([misspelt ?? ""])}?`;
  return new RowError(`expected the columns ${known}, got ${quoted(given) || "none"}; ${advice}`);
}

/** Refuses rows that are meant for another kind of training: all of them are. */
export function requireTask(format: Format, task: Task, place: string): void {
  if (taskOf(format) === task) return;
  throw new DataError(
    `[data] ${place}: expected rows for ${words[task]}, got rows of the format "${format.name}", ${elsewhere(format)}`,
  );
}

/** What a format's rows are for. */
function taskOf({ task = "supervised" }: Format): Task {
  return task;
}

const words: Readonly<Record<Task, string>> = {
  supervised: "supervised fine-tuning",
  preference: "preference optimization",
  prompts: "training on sampled answers",
};

/** What may be done with rows of another task. */
function elsewhere(format: Format): string {
  const isFor = `which is for ${words[taskOf(format)]}`;
  if (taskOf(format) === "preference")
    return `${isFor} (DPO); to learn the chosen answers alone, name their column: columns: { completion: "chosen" } beside a prompt, columns: { messages: "chosen" } for whole conversations`;
  if (taskOf(format) === "prompts")
    return `${isFor} (GRPO); where another column holds the answers, name it: columns: { completion: "answer" }`;
  return `${isFor}; give rows with a chosen and a rejected answer, or train on these with tunesmith train (SFTTrainer)`;
}
