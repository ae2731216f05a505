// `npm run test:nightly -- PART [--minutes N] [--threads N] [--only NAME]`: runs a part, or one thing of it, for as long as that (default 30 minutes on one thread) and keeps what it reached in benchmarks/reliability/PART.json.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { machine } from "../../benchmarks/machine.ts";
import { bin, root } from "../../scripts/lib/shell.mjs";
import { formats } from "./formats.ts";
import { install } from "./install.ts";
import { kernels } from "./kernels.ts";
import { memory } from "./memory.ts";
import { pack } from "./pack.ts";
import type { Part, Reached } from "./part.ts";
import { checkpoints, data, failures as failureTrials, hub, long, numbers } from "./promises.ts";

/** Every part, by the name it is run by. */
const parts: Readonly<Record<string, Part>> = {
  checkpoints,
  data,
  failures: failureTrials,
  formats,
  hub,
  install,
  kernels,
  long,
  memory,
  numbers,
  pack,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: "string", default: "30" },
    threads: { type: "string", default: "1" },
    only: { type: "string" },
  },
});
const [name = ""] = positionals;
const part = parts[name];
const [minutes, threads] = [Number(values.minutes), Number(values.threads)];

if (part === undefined || !(minutes > 0) || !Number.isInteger(threads) || threads < 1) {
  console.error(
    `[test:nightly] expected one of ${Object.keys(parts).join(", ")} and positive numbers, got ${process.argv.slice(2).join(" ")}`,
  );
  process.exitCode = 2;
} else {
  // Before the run: the result belongs to the sources it ran on.
  const where = machine();
  const reached = await part.run({ minutes, threads, only: values.only });
  const folder = join(root, "benchmarks/reliability");
  const file = join(folder, `${name}.json`);
  const rows = values.only === undefined ? reached : merged(file, reached);
  mkdirSync(folder, { recursive: true });
  const result = { part: name, what: part.what, minutes, threads, machine: where, rows };
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
  spawnSync(process.execPath, [...bin.tsx, "scripts/generate.ts"], { cwd: root, stdio: "inherit" });
  const failures = reached.reduce((sum, row) => sum + row.failures, 0);
  const cases = reached.reduce((sum, row) => sum + row.cases, 0);
  console.log(`${cases} cases, ${failures} failures`);
  process.exitCode = failures > 0 ? 1 : 0;
}

/** The rows of an earlier result, in their order, with those in their places that were reached again. */
function merged(file: string, rows: readonly Reached[]): Reached[] {
  const earlier = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as { rows: Reached[] }).rows : [];
  const fresh = new Map(rows.map((row) => [row.id, row]));
  const kept = earlier.map((row) => {
    const now = fresh.get(row.id) ?? row;
    fresh.delete(row.id);
    return now;
  });
  return [...kept, ...fresh.values()];
}
