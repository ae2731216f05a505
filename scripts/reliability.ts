// The page benchmarks/reliability.md, made from what nightly runs left in benchmarks/reliability.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What one nightly run of a part left. */
export interface NightlyResult {
  part: string;
  what: string;
  minutes: number;
  threads: number;
  machine: { commit: string; clean: boolean; date: string; cpu: string; cores: number };
  rows: { id: string; cases: number; failures: number; seconds: number; note?: string; survivors?: string[] }[];
}

/** All results in a folder, by name. */
export function readResults(folder: string): NightlyResult[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.sort().map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as NightlyResult);
}

function section({ part, what, minutes, threads, machine, rows }: NightlyResult): string {
  const { commit, clean, date, cpu, cores } = machine;
  const sources = `commit ${commit.slice(0, 9)}${clean ? "" : " with changes"}`;
  const lines = rows.map(({ id, cases, failures, seconds, note = "" }) => {
    return `| \`${id}\` | ${cases.toLocaleString("en-US")} | ${failures} | ${seconds.toFixed(0)} | ${note} |`;
  });
  const survivors = rows.flatMap(({ survivors = [] }) => survivors.map((survivor) => `- ${survivor}`));
  return [
    `## \`${part}\`: ${what}`,
    `${minutes} minutes on ${threads} ${threads === 1 ? "thread" : "threads"}: ${sources}, ${date.slice(0, 10)}, ${cpu}, ${cores} cores.`,
    ["| id | cases | failures | seconds | |", "| --- | ---: | ---: | ---: | --- |", ...lines].join("\n"),
    ...(survivors.length === 0 ? [] : ["What went through, and why nothing can be seen:", survivors.join("\n")]),
  ].join("\n\n");
}

/** The page. */
export function reliabilityPage(results: readonly NightlyResult[]): string {
  const sections = results.length === 0 ? ["Nothing has been run yet."] : results.map(section);
  return `${[
    "# How far the long tests have come",
    "Made from `benchmarks/reliability/` by `npm run generate`. `npm run test:nightly -- PART [--minutes N]` runs a part and keeps its result.",
    ...sections,
  ].join("\n\n")}\n`;
}
