// docs/curriculum.md and its curves, made from the result of the curriculum benchmark.
import { existsSync, readFileSync } from "node:fs";
import { type ArmName, armNames } from "./arms.ts";
import { lossChart } from "./chart.ts";
import { type CurriculumResult, exactShare, runsOf, table, verdict } from "./summary.ts";

/** The files of the page, by their names in docs/. */
export function curriculumPage(path: string): { name: string; text: string }[] {
  if (!existsSync(path)) return [];
  const result = JSON.parse(readFileSync(path, "utf8")) as CurriculumResult;
  const begun = result.sets.filter(({ name }) => hasRuns(result, name));
  const charts = begun.map(({ name }) => ({ name: chartName(name), text: lossChart(result, name) }));
  return [{ name: "curriculum.md", text: page(result) }, ...charts];
}

const hasRuns = ({ runs }: CurriculumResult, set: string) => runs.some((run) => run.set === set);

const chartName = (set: string) => `curriculum-${set.replaceAll(" ", "-")}.svg`;

function page(result: CurriculumResult): string {
  const { settings, sets, seeds, runs, machine } = result;
  const expected = sets.length * armNames.length * seeds.length;
  const missing =
    runs.length === expected
      ? []
      : [
          `**Not all runs are in: ${runs.length} of ${expected}.** Where an arm lacks seeds, nothing is concluded of it; \`npm run bench -- curriculum\` goes on.`,
        ];
  return `${[
    "# Which rows first: what was measured",
    "Made from [curriculum.json](../benchmarks/results/curriculum.json) by `npm run generate`; measured by `npm run bench -- curriculum`. What the orders are and how they are chosen stands in [data](data.md#which-rows-first).",
    ...missing,
    `LoRA r ${settings.r} on SmolLM2-135M-Instruct, learning rate ${settings.learningRate}, constant after ${settings.warmupSteps} steps, at most ${settings.maxTokensPerBatch} tokens a step; ${settings.budget.toLocaleString("en-US")} tokens a run, prompts included, whatever rows they are of; seeds ${seeds.join(", ")} for the order and the adapter. Loss on the assistant's turns. ${sources(machine)}`,
    arms,
    ...sets.flatMap(({ name }) => section(result, name)),
    "## What it shows",
    conclusions(result),
    caution(result),
  ].join("\n\n")}\n`;
}

function sources(machine: Record<string, unknown>): string {
  return `${machine.cpu}, ${machine.cores} cores, ${String(machine.date).slice(0, 10)}; results do not depend on the machine's speed.`;
}

const arms = [
  "- **random**: all rows, shuffled.",
  "- **longest answers**: the third of the rows with the longest answers (`selectRows`), shuffled.",
  "- **staged forward**, **staged reverse**: three stages, each a third of the rows, by their tokens; forward has the shortest first. Each stage lasts for the same share of its rows, so that a run sees the rows of a random order in another order (`stagedSampler`).",
  "- **loss-based**: the same three stages by the loss of each row by the model before training, the lowest first.",
].join("\n");

const about: Readonly<Record<string, string>> = {
  "running totals":
    "Generated conversations in which a total changes turn by turn and each answer is the total so far; difficulty is the number of operations, 1 to 6. An answer is exact where the model, carrying on the conversation greedily with its own answers, comes to the right last total.",
  gsm8k: "Problems of GSM8K with their solutions; held out are problems of its test set. Loss alone is measured.",
};

function section(result: CurriculumResult, set: string): string[] {
  const { rows = 0, heldOut = 0 } = result.sets.find(({ name }) => name === set) ?? {};
  const before = result.before[set];
  const exact = before?.exact == null ? "" : `, exact answers ${(100 * exactShare(before.exact)).toFixed(0)} %`;
  const by =
    before?.exact == null
      ? []
      : ["Exact answers by operations, in percent, over the seeds:", byDifficulty(result, set)];
  return [
    `## ${set}`,
    about[set] ?? "",
    `${rows.toLocaleString("en-US")} rows to choose from and to order, ${heldOut} held out. Before training: eval loss ${before?.evalLoss.toFixed(3)}${exact}.`,
    ...(hasRuns(result, set) ? [curves(set), table(result, set), ...by] : ["No run is finished yet."]),
  ];
}

function curves(set: string): string {
  return `![Eval loss against tokens](${chartName(set)})\n\nMeans over the seeds, with the least and the most; the curves come from the loss before training, above the picture.`;
}

/** How many answers of each difficulty are exact. */
function byDifficulty(result: CurriculumResult, set: string): string {
  const levels = (result.before[set]?.exact ?? []).map(({ operations }) => operations);
  const share = (arm: ArmName, level: number) => {
    const counts = runsOf(result, set, arm).flatMap(({ exact }) =>
      (exact ?? []).filter((at) => at.operations === level),
    );
    return counts.length === 0 ? "–" : (100 * exactShare(counts)).toFixed(0);
  };
  const lines = armNames.map((arm) => [arm, ...levels.map((level) => share(arm, level))]);
  const head = ["rows", ...levels.map(String)];
  return [head, head.map(() => "---"), ...lines].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** What can be said of each set and measure, an arm in each line. */
function conclusions(result: CurriculumResult): string {
  const measures = { evalLoss: "eval loss", exact: "exact answers" } as const;
  const lines = result.sets.flatMap(({ name: set }) =>
    (["evalLoss", "exact"] as const).flatMap((measure) => {
      if (measure === "exact" && result.before[set]?.exact == null) return [];
      const others = armNames.filter((arm) => arm !== "random");
      const said = others.map((arm) => `${arm} ${verdict(result, set, arm, measure)}`);
      return [`- ${set}, ${measures[measure]}: ${said.join("; ")}.`];
    }),
  );
  return lines.join("\n");
}

/** Of the orders in which two times n values may come, two have all of one side first. */
function chanceOf(n: number): number {
  let orders = 1;
  for (let k = 1; k <= n; k += 1) orders = (orders * (n + k)) / k;
  return orders / 2;
}

function caution({ seeds, sets }: CurriculumResult): string {
  const comparisons = sets.length * (armNames.length - 1);
  return `Beyond the spread means that the worst of ${seeds.length} seeds on one side is better than the best on the other. Where nothing differs that happens by chance in one of ${chanceOf(seeds.length)} comparisons, and there are ${comparisons} for the loss alone. The learning rate does not fall at the end, so that the order has nothing to do with it; the loss still moves from one evaluation to the next by what the curves show. One small model, two sets, one budget: with others it may come out otherwise, as published results do (arXiv:2510.19099).`;
}
