// Parts of the nightly run that are tests of `npm test` with more cases: what each row promises, and the tests that hold it.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bin, root } from "../../scripts/lib/shell.mjs";
import { countReport } from "../../scripts/lib/typescript-tests.mjs";
import type { Part, Reached } from "./part.ts";

/** One row: the tests that hold a promise, each as a file and a part of its name, and how many cases they try. */
export interface Trial {
  id: string;
  tests: readonly (readonly [file: string, name?: string])[];
  trials: number;
}

/** A part whose rows are tests of vitest. */
export function trialsPart(what: string, rows: readonly Trial[]): Part {
  return {
    what,
    async run({ only }) {
      const reached: Reached[] = [];
      for (const row of rows) if (only === undefined || row.id.split(" ")[0] === only) reached.push(await reach(row));
      if (reached.length === 0)
        throw new Error(`[test:nightly] expected one of ${ids(rows)} after --only, got ${only}`);
      return reached;
    },
  };
}

const ids = (rows: readonly Trial[]) => rows.map(({ id }) => id.split(" ")[0]).join(", ");

/** Cases and notes that tests told of, as `tried` in packages/core/src/testing writes them. */
export function told(output: string): { cases: number; notes: string[] } {
  const lines = [...output.matchAll(/^tried (\d+)(?:: (.*))?$/gmu)];
  const notes = lines.flatMap(([, , note]) => (note === undefined ? [] : [note]));
  return { cases: lines.reduce((sum, [, count]) => sum + Number(count), 0), notes };
}

async function reach({ id, tests, trials }: Trial): Promise<Reached> {
  const begun = performance.now();
  const sum = { cases: 0, failures: 0, notes: [] as string[] };
  for (const [file, name] of tests) {
    console.log(`${id}: ${file}`);
    const { output, passed, failed } = await vitest(file, name, trials);
    const { cases, notes } = told(output);
    // A test that tells no number is one case.
    sum.cases += cases === 0 ? passed + failed : cases;
    sum.failures += failed;
    sum.notes.push(...notes);
  }
  const seconds = (performance.now() - begun) / 1000;
  return { id, cases: sum.cases, failures: sum.failures, seconds, note: sum.notes.join("; ") };
}

function vitest(file: string, name: string | undefined, trials: number) {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-trials-"));
  const report = join(folder, "report.json");
  const args = ["run", file, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, "--no-color"];
  if (name !== undefined) args.push("-t", name);
  return new Promise<{ output: string; passed: number; failed: number }>((resolve, reject) => {
    const child = spawn(process.execPath, [...bin.vitest, ...args], {
      cwd: root,
      env: { ...process.env, TRIALS: String(trials), NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (piece: Buffer) => {
      output += piece;
    });
    child.once("error", reject);
    child.once("close", (code) => {
      const { passed, failed } = countReport(JSON.parse(readFileSync(report, "utf8")));
      rmSync(folder, { recursive: true });
      if (failed > 0 || code !== 0) console.error(output.slice(-8000));
      resolve({ output, passed, failed: code === 0 ? failed : Math.max(1, failed) });
    });
  });
}
