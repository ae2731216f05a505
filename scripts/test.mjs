// npm test [-- --rust | --ts | --asan] [FILTER …]: sets up, builds, runs the Rust tests and the TypeScript tests, and ends with
// `N passed, N failed`. The CUDA backend's tests under AddressSanitizer run when asked for.
import { asanTests } from "./lib/asan-tests.mjs";
import { build } from "./lib/build.mjs";
import { rustTests } from "./lib/rust-tests.mjs";
import { setup } from "./lib/setup.mjs";
import { bold, seconds } from "./lib/shell.mjs";
import { printTimes, timed } from "./lib/times.mjs";
import { typescriptTests } from "./lib/typescript-tests.mjs";

/** @typedef {import("./lib/rust-tests.mjs").Counts} Counts */

const args = process.argv.slice(2);
const filters = args.filter((arg) => !arg.startsWith("--"));
const only = args.filter((arg) => arg.startsWith("--"));
/** @type {[flag: string, name: string, suite: (filters: string[]) => Promise<Counts>][]} */
const suites = [
  ["--rust", "Rust", rustTests],
  ["--ts", "TypeScript", typescriptTests],
  ["--asan", "CUDA under AddressSanitizer", asanTests],
];
const usual = ["--rust", "--ts"];

async function main() {
  const unknown = only.find((flag) => !suites.some(([known]) => known === flag));
  if (unknown !== undefined) {
    console.error(`[npm test] expected --rust, --ts, --asan or a filter, got ${unknown}`);
    return 2;
  }
  const rows = [];
  const total = { passed: 0, failed: 0, skipped: 0 };
  const ready =
    (await timed("test", "setup", () => setup({ quiet: true }))) &&
    (await timed("test", "build", () => build({ quiet: true }))) === 0;
  if (!ready) total.failed = 1;
  for (const [flag, name, suite] of ready ? suites : []) {
    if (!(only.length > 0 ? only : usual).includes(flag)) continue;
    console.log(`\n${bold(name)}`);
    const begun = Date.now();
    const counts = await timed("test", name, () => suite(filters));
    rows.push({ name, counts, time: seconds(Date.now() - begun) });
    for (const key of /** @type {(keyof Counts)[]} */ (Object.keys(total))) total[key] += counts[key];
  }
  console.log(`\n${"".padEnd(28)}${["passed", "failed", "skipped", "time"].map((head) => head.padStart(9)).join("")}`);
  for (const { name, counts, time } of rows) {
    const cells = [counts.passed, counts.failed, counts.skipped, time];
    console.log(`${name.padEnd(28)}${cells.map((cell) => String(cell).padStart(9)).join("")}`);
  }
  printTimes();
  if (total.skipped > 0) console.log(`${total.skipped} skipped`);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  return total.failed > 0 || total.passed === 0 ? 1 : 0;
}

process.exitCode = await main();
