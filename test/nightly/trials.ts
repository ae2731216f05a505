// Parts of the nightly run that are tests of `npm test` with more cases: what each row promises, and the tests that hold it.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bin, hostTriple, root, run } from "../../scripts/lib/shell.mjs";
import { countReport } from "../../scripts/lib/typescript-tests.mjs";
import type { Part, Reached } from "./part.ts";

/** Tests of vitest in a file, or of a crate, by a part of their name. */
export type TrialTests = readonly [file: string, name?: string] | { crate: string; name: string };

/** One row: the tests that hold a promise, and how many cases they try. */
export interface Trial {
  id: string;
  tests: readonly TrialTests[];
  /** How many, or of how many tests each has its share of the time. */
  trials: number | { timed: number };
}

/** A part whose rows are tests with more cases than usual. */
export function trialsPart(what: string, rows: readonly Trial[]): Part {
  return {
    what,
    async run({ only, minutes }) {
      const chosen = rows.filter(({ id }) => only === undefined || id.startsWith(only));
      if (chosen.length === 0)
        throw new Error(`[test:nightly] expected the start of one of ${ids(rows)} after --only, got ${only}`);
      const timed = chosen.reduce((sum, { trials }) => sum + (typeof trials === "number" ? 0 : trials.timed), 0);
      const reached: Reached[] = [];
      for (const row of chosen) {
        const { trials } = row;
        const asked = typeof trials === "number" ? { TRIALS: String(trials) } : secondsOf(minutes, timed);
        reached.push(await reach(row, asked));
      }
      return reached;
    },
  };
}

const ids = (rows: readonly Trial[]) => rows.map(({ id }) => JSON.stringify(id)).join(", ");

/** What a test is told of its cases. */
type Asked = Record<string, string>;

/** The same time for each of some tests. */
const secondsOf = (minutes: number, tests: number): Asked => ({
  TRIAL_SECONDS: String(Math.max(1, Math.floor((minutes * 60) / tests))),
});

/** Cases and notes that tests told of, as `tried` in packages/core/src/testing writes them. */
export function told(output: string): { cases: number; notes: string[] } {
  const lines = [...output.matchAll(/^tried (\d+)(?:: (.*))?$/gmu)];
  const notes = lines.flatMap(([, , note]) => (note === undefined ? [] : [note]));
  return { cases: lines.reduce((sum, [, count]) => sum + Number(count), 0), notes };
}

async function reach({ id, tests }: Trial, asked: Asked): Promise<Reached> {
  const begun = performance.now();
  const sum = { cases: 0, failures: 0, notes: [] as string[] };
  for (const test of tests) {
    const { output, passed, failed } = await ("crate" in test ? cargo(id, test, asked) : vitest(id, test, asked));
    const { cases, notes } = told(output);
    // A test that tells no number is one case.
    sum.cases += cases === 0 ? passed + failed : cases;
    sum.failures += failed;
    sum.notes.push(...notes);
  }
  const seconds = (performance.now() - begun) / 1000;
  return { id, cases: sum.cases, failures: sum.failures, seconds, note: sum.notes.join("; ") };
}

/** Runs tests of a crate; the line of a test's result counts it. */
async function cargo(id: string, { crate, name }: { crate: string; name: string }, asked: Asked) {
  console.log(`${id}: crates/${crate}`);
  const of = ["test", "--release", "--locked", "--target", hostTriple(), "-p", `tunesmith-${crate}`, "--tests", name];
  const env = { ...asked, RUST_BACKTRACE: "0" };
  const { code, output } = await run("cargo", [...of, "--", "--nocapture"], { env });
  const count = (what: RegExp) => [...output.matchAll(what)].reduce((sum, [, n]) => sum + Number(n), 0);
  const [passed, failed] = [count(/^test result: .* (\d+) passed/gmu), count(/^test result: .* (\d+) failed/gmu)];
  if (code !== 0) console.error(output.slice(-8000));
  return { output, passed, failed: code === 0 ? failed : Math.max(1, failed) };
}

function vitest(id: string, [file, name]: readonly [file: string, name?: string], asked: Asked) {
  console.log(`${id}: ${file}`);
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-trials-"));
  const report = join(folder, "report.json");
  const args = ["run", file, "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, "--no-color"];
  if (name !== undefined) args.push("-t", name);
  return new Promise<{ output: string; passed: number; failed: number }>((resolve, reject) => {
    const child = spawn(process.execPath, [...bin.vitest, ...args], {
      cwd: root,
      env: { ...process.env, ...asked, NO_COLOR: "1" },
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
