// `npm run bench -- curriculum`: which rows first, and whether it matters. Five arms, two sets, three seeds; it goes on where it was stopped.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Generator } from "@tunesmith/core";
import { FastLanguageModel } from "@tunesmith/sdk";
import { rowScores } from "@tunesmith/trainer";
import { cacheFolder } from "../../examples/quickstart/quickstart-model.ts";
import { findSmollm2 } from "../../test/goldens/smollm2-path.ts";
import { machine } from "../machine.ts";
import { armNames } from "./arms.ts";
import { type ExactCount, exactMatch, heldOutLoss, passTokens } from "./held-out.ts";
import { settings as defaults, type RunResult, trainArm } from "./run.ts";
import { type TaskSet, taskSets } from "./sets.ts";
import { RunStore } from "./store.ts";
import { type CurriculumResult, tables } from "./summary.ts";

/** How it is run. */
export interface CurriculumOptions {
  /** Finished runs are kept here. Default: in the cache. */
  folder?: string | undefined;
  /** A result of equal settings and rows, whose runs are not run again. Default: the one that is published. */
  from?: string | undefined;
  /** `K/N`: every N-th run, from the K-th on, for N processes at once; `0/1`: none, what is there is summed up. Default all of them. */
  part?: string | undefined;
  /** The model that is trained. Default: SmolLM2-135M-Instruct. */
  model?: string | undefined;
  /** Tokens of a run. Default 40,000. */
  budget?: number | undefined;
  /** Threads of the engine; 0 is all cores. The results are the same with any number. */
  threads: number;
}

const seeds = [1, 2, 3] as const;
const published = join(import.meta.dirname, "../results/curriculum.json");

/** What the model says of a set before it is trained. */
interface Before {
  evalLoss: number;
  exact: ExactCount[] | null;
}

/** Trains what is missing of all arms, all sets with the first seed, then all with the next, and sums up what is there. */
export async function curriculum(options: CurriculumOptions): Promise<CurriculumResult> {
  const { folder, from = published, part = "1/1", threads, budget = defaults.budget } = options;
  const [nth, of] = parsePart(part);
  const path = options.model ?? findSmollm2();
  if (path === null)
    throw new Error("[bench curriculum] expected SmolLM2-135M, got no file; run npm run quickstart once");
  const model = await FastLanguageModel.fromPretrained(path, threads === 0 ? {} : { threads });
  const sets = await taskSets(model);
  const settings = { ...defaults, budget };
  const facts = { settings, sets: sets.map(({ name, fingerprint }) => ({ name, fingerprint })) };
  const store = new RunStore(folder ?? join(cacheFolder, "curriculum"), facts);
  takeOver(from, store);
  const wanted = seeds.flatMap((seed) => sets.flatMap((set) => armNames.map((arm) => ({ seed, set, arm }))));
  for (const [index, { seed, set, arm }] of wanted.entries()) {
    const name = runName(set.name, arm, seed);
    if (index % of !== nth - 1 || store.get(name) !== null) continue;
    const losses = async () => (arm === "loss-based" ? await rowLosses(model, set, store) : []);
    const result = await trainArm(model, set, { losses: await losses() }, { name: arm, seed, settings });
    store.put(name, { ...result, commit: commit() });
    console.log(`${name}: ${result.points.map(({ evalLoss }) => evalLoss.toFixed(3)).join(" ")} ${exactText(result)}`);
  }
  const runs = wanted.flatMap(({ seed, set, arm }) => store.get<RunResult>(runName(set.name, arm, seed)) ?? []);
  const before: CurriculumResult["before"] = {};
  for (const set of sets) before[set.name] = await untrained(model, set, store);
  const described = sets.map(({ name, rows, heldOut }) => ({ name, rows: rows.length, heldOut: heldOut.length }));
  const result = {
    benchmark: "curriculum",
    key: store.key,
    machine: machine(),
    settings,
    seeds,
    sets: described,
    before,
    runs,
  };
  console.log(tables(result));
  return result;
}

const runName = (set: string, arm: string, seed: number) => `${set} ${arm} seed ${seed}`;

/** Keeps what an earlier result has of equal settings and rows, so that another machine goes on where one was stopped. */
function takeOver(file: string, store: RunStore): void {
  if (!existsSync(file)) return;
  const { key, runs, before } = JSON.parse(readFileSync(file, "utf8")) as CurriculumResult;
  if (key !== store.key) return;
  const known = [
    ...runs.map((run) => [runName(run.set, run.arm, run.seed), run] as const),
    ...Object.entries(before).map(([set, found]) => [`${set} before`, found] as const),
  ];
  for (const [name, found] of known) if (store.get(name) === null) store.put(name, found);
}

const exactText = ({ exact }: RunResult) =>
  exact === null ? "" : `exact ${exact.map(({ exact: right, rows }) => `${right}/${rows}`).join(" ")}`;

const commit = () => execFileSync("git", ["rev-parse", "HEAD"], { cwd: import.meta.dirname, encoding: "utf8" }).trim();

function parsePart(part: string): [nth: number, of: number] {
  const [nth = 0, of = 0] = part.split("/").map(Number);
  if (Number.isInteger(nth) && Number.isInteger(of) && of >= 1 && nth >= 0 && nth <= of) return [nth, of];
  throw new Error(`[bench curriculum] expected --part K/N with K of 0 to N, got ${JSON.stringify(part)}`);
}

/** Loss of each row of a set by the model before training; computed once. */
async function rowLosses(model: FastLanguageModel, set: TaskSet, store: RunStore): Promise<number[]> {
  const name = `${set.name} losses`;
  const compute = async () => {
    const { length } = set.examples;
    const at = (row: number) => set.examples.slice(row, row + 1);
    const found = await withUntrained(model, (session) =>
      rowScores(session, { length, at }, { difficulty: "loss", tokenBudget: passTokens }),
    );
    return store.put(name, [...found.scores]);
  };
  return store.get<number[]>(name) ?? (await compute());
}

/** What the model says of the held-out rows before training; computed once. */
async function untrained(model: FastLanguageModel, set: TaskSet, store: RunStore): Promise<Before> {
  const name = `${set.name} before`;
  const compute = async () => {
    const measured = await withUntrained(model, async (session) => ({
      evalLoss: await heldOutLoss(session, set),
      exact: await exactMatch(session, model, set),
    }));
    return store.put(name, measured);
  };
  return store.get<Before>(name) ?? (await compute());
}

async function withUntrained<T>(model: FastLanguageModel, use: (session: Generator) => Promise<T>): Promise<T> {
  const session = await model.createGenerator();
  try {
    return await use(session);
  } finally {
    await session[Symbol.asyncDispose]();
  }
}
