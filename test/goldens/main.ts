// `npm run goldens -- [DIR]`: runs every golden below DIR (default TUNESMITH_FIXTURES, else the project's own set), one line
// each. A case whose family or feature is not implemented counts as failed here: the line says what is missing.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Outcome } from "./outcome.ts";
import { findSmollm2 } from "./smollm2-path.ts";
import { typescriptCases } from "./typescript-cases.ts";

const repository = resolve(import.meta.dirname, "../..");

/** The engine's own runner, built and run by cargo in the folder that the binding is built in. */
async function* engineCases(root: string): AsyncGenerator<Outcome> {
  const { hostTriple } = (await import("../../scripts/lib/shell.mjs")) as { hostTriple: () => string };
  const argv = [
    "run",
    "--quiet",
    "--release",
    "--locked",
    "--target",
    hostTriple(),
    "-p",
    "tunesmith-conformance",
    "--features",
    "programs",
    "--bin",
    "goldens",
    "--",
    root,
  ];
  const child = spawn("cargo", argv, { cwd: repository, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((done) => child.once("close", done));
  for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line) as Outcome;
  const status = await ended;
  if (status !== 0) throw new Error(`[goldens] expected the engine's runner to end with status 0, got ${status}`);
}

function show({ case: name, error, tolerance, verdict, note }: Outcome): string {
  const figure = (value: number | null) => (value === null ? "-" : value.toExponential(1)).padStart(8);
  const word = verdict === "unsupported" ? "failed (unsupported)" : verdict;
  return `${name.padEnd(56)} ${figure(error)} ${figure(tolerance)}  ${word}${note === "" ? "" : `: ${note}`}`;
}

const [given] = process.argv.slice(2);
const root = resolve(given ?? process.env.TUNESMITH_FIXTURES ?? join(repository, "test/fixtures"));
if (!existsSync(root))
  throw new Error(
    `[goldens] expected a folder of goldens, got ${root}; give it as an argument or in TUNESMITH_FIXTURES`,
  );
console.log(`${"case".padEnd(56)} ${"error".padStart(8)} ${"allowed".padStart(8)}  verdict`);
let [passed, failed] = [0, 0];
for (const source of [engineCases(root), typescriptCases(root, findSmollm2())]) {
  for await (const outcome of source) {
    if (outcome.verdict === "passed") passed += 1;
    else failed += 1;
    console.log(show(outcome));
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
