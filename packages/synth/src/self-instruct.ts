// Self-Instruct: from a few seed tasks to many rows, as an async iterator.
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import {
  AbortError,
  ArgumentError,
  exists,
  expandHome,
  makeFolder,
  type OptionKeys,
  type ParsedSelfInstructConfig,
  plural,
  refuseInput,
  replaceFile,
  type SelfInstructConfig,
  type Similarity,
  selfInstructConfigSchema,
  sortOptionsBeside,
} from "@tunesmith/core";
import { Filters } from "./filters.ts";
import { type OpenGenerator, openGenerator, replies as repliesOf, type TextGenerator } from "./generate/generate.ts";
import { Journal, type RunConfig } from "./journal.ts";
import type { SelfInstructEvent, SelfInstructFiles } from "./report.ts";
import { readSeeds, type SeedTask, type SynthTask } from "./seeds.ts";
import { classify } from "./steps/classify.ts";
import { generateInstances } from "./steps/generate-instances.ts";
import { generateInstructions } from "./steps/generate-instructions.ts";
import { makeRows } from "./steps/make-rows.ts";
import { type Ask, type Pool, seedOf } from "./steps/pool.ts";

/** What rows are made of, by whom, and where they go. */
export interface SelfInstructOptions extends SelfInstructConfig {
  /** File of seed tasks (JSONL: `instruction`, `instances` of `input` and `output`, `is_classification`), or the tasks. */
  seeds: string | readonly SeedTask[];
  /** Who writes the texts: a function, a Tunesmith model, or an endpoint in OpenAI's form. */
  generate: TextGenerator;
  /**
   * File of the rows, `NAME.jsonl`; beside it `NAME.tasks.jsonl` and `NAME.journal.jsonl`, from which the same call goes on after an
   * interruption. Default: none; the rows come as events alone.
   */
  output?: string | null;
  /** Stops the batch in hand; the iterator then throws an `AbortError`. Default: none. */
  signal?: AbortSignal;
}

const keys: OptionKeys<Omit<SelfInstructOptions, keyof SelfInstructConfig>> = {
  seeds: "required",
  generate: "required",
  output: "optional",
  signal: "optional signal",
};

/** What is known before a run begins. */
interface Setup {
  config: ParsedSelfInstructConfig;
  seeds: string | readonly SeedTask[];
  generator: OpenGenerator;
  files: SelfInstructFiles | null;
  signal: AbortSignal | undefined;
  similarity: Similarity;
}

/**
 * Makes rows of seed tasks by the pipeline of Self-Instruct (Wang et al. 2022): instructions, which of them are classification, their
 * instances, rows. What happens comes as events, the last of which is `done` with the report; the same seed and the same replies give
 * the same rows. Wrong options are an `OptionError` at once; wrong seeds a `DataError` with the first event.
 */
export function selfInstruct(
  options: SelfInstructOptions,
  similarity: Similarity,
): AsyncGenerator<SelfInstructEvent, void, undefined> {
  const [{ config }, others] = sortOptionsBeside({ config: selfInstructConfigSchema }, keys, options, "selfInstruct");
  const { seeds, generate, output, signal } = others;
  if (typeof seeds !== "string" && !Array.isArray(seeds))
    throw new ArgumentError("[selfInstruct.seeds] expected a path or a list of tasks, got something else; give one");
  const generator = openGenerator(generate, config);
  return run({ config, seeds, generator, files: filesOf(output ?? null), signal, similarity });
}

/** The files beside a file of rows. */
function filesOf(output: string | null): SelfInstructFiles | null {
  if (output === null) return null;
  if (typeof output !== "string" || output === "")
    throw new ArgumentError("[selfInstruct.output] expected a path, got something else; give one, or leave it out");
  const rows = expandHome(output);
  const name = rows.replace(/\.jsonl$/u, "");
  return { rows, tasks: `${name}.tasks.jsonl`, journal: `${name}.journal.jsonl` };
}

async function* run(setup: Setup): AsyncGenerator<SelfInstructEvent, void, undefined> {
  const { config, generator, files, similarity } = setup;
  const seeds = await readSeeds(setup.seeds);
  if (files !== null) await checkPlaces(setup.seeds, files);
  const journal = files === null ? null : await Journal.open(files.journal, sharedConfig(setup, seeds));
  try {
    const filters = new Filters(config);
    const pool: Pool = {
      config,
      similarity,
      filters,
      ask: asking(setup, journal),
      seeds,
      tasks: [],
      steps: [],
    };
    const stopped = yield* generateInstructions(pool);
    if (stopped !== "complete") yield { type: "warning", message: fewInstructions(pool, stopped) };
    const classification = yield* classify(pool);
    yield* generateInstances(pool);
    const { rows, dropped } = makeRows(pool);
    yield* dropped;
    if (files !== null) {
      await writeLines(
        files.rows,
        rows.map(({ prompt, completion }) => ({ prompt, completion })),
      );
      await writeLines(files.tasks, pool.tasks.map(asSeed));
    }
    for (const row of rows) yield { type: "row", ...row };
    const generated = rows.filter(({ source }) => source === "generated").length;
    const report = {
      seeds: seeds.length,
      stopped,
      steps: pool.steps,
      classification,
      withoutInstance: pool.tasks.filter(({ instances }) => instances.length === 0).length,
      rows: { generated, seeds: rows.length - generated },
      files,
    };
    yield { type: "done", report };
  } finally {
    await generator.close();
    await journal?.close();
  }
}

/** Answers batches: from the journal as far as it goes, then by the generator. */
function asking({ config, generator, signal }: Setup, journal: Journal | null): Ask {
  return async (step, request, prompts, how) => {
    if (signal?.aborted) throw aborted(signal, journal);
    const recorded = journal?.recorded(step, request, prompts) ?? null;
    if (recorded !== null) return { replies: recorded, resumed: true };
    const options = { ...how, step, seed: seedOf(config.seed, step, request), ...(signal !== undefined && { signal }) };
    const replies = await repliesOf(generator.generate, prompts, options).catch((cause: unknown) => {
      throw signal?.aborted ? aborted(signal, journal) : cause;
    });
    await journal?.record(step, request, prompts, replies);
    return { replies, resumed: false };
  };
}

function aborted({ reason }: AbortSignal, journal: Journal | null): AbortError {
  const kept =
    journal === null
      ? "nothing is kept, since there is no output"
      : `the replies so far are in ${journal.path}; run it again to go on`;
  return new AbortError(`[selfInstruct] stopped on request; ${kept}`, { cause: reason });
}

/** All that decides the rows. */
function sharedConfig({ config, generator }: Setup, seeds: readonly SynthTask[]): RunConfig {
  const digest = createHash("sha256").update(JSON.stringify(seeds)).digest("hex").slice(0, 16);
  return { ...config, generator: generator.identity, seeds: digest };
}

/** Nothing that is read is written over, and no file that is not of such a run. */
async function checkPlaces(seeds: Setup["seeds"], files: SelfInstructFiles): Promise<void> {
  await makeFolder(dirname(files.rows));
  const inputs = typeof seeds === "string" ? [expandHome(seeds)] : [];
  for (const path of Object.values(files)) await refuseInput(path, inputs);
  if (await exists(files.journal)) return;
  for (const path of [files.rows, files.tasks])
    if (await exists(path))
      throw new ArgumentError(
        `[${path}] expected a new path, since there is no ${files.journal} of a run to go on with, got a file; nothing was changed: choose another output`,
      );
}

function fewInstructions({ tasks, config, steps }: Pool, stopped: "maxRequests" | "maxIdleRequests"): string {
  const requests = plural(steps[0]?.requests ?? 0, "request");
  const reason =
    stopped === "maxRequests"
      ? "as many as maxRequests allows"
      : `the last ${config.maxIdleRequests} of which kept none`;
  return `${plural(tasks.length, "instruction")} of ${config.numInstructions} after ${requests}, ${reason}; it goes on with these`;
}

async function writeLines(path: string, values: readonly object[]): Promise<void> {
  await replaceFile(path, values.map((value) => `${JSON.stringify(value)}\n`).join(""));
}

/** A task in the form of seeds, so that its file may be the seeds of another run. */
function asSeed({ id, instruction, isClassification, instances, mostSimilar }: SynthTask): object {
  return { id, instruction, instances, is_classification: isClassification, most_similar: mostSimilar };
}
