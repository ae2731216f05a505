// npm run check [-- --fix]: everything a reader should not have to look for. One line per check; the log of a failed one below it.
import { build } from "./lib/build.mjs";
import { setup } from "./lib/setup.mjs";
import { bin, green, hostTriple, red, run, runNode, seconds } from "./lib/shell.mjs";
import { note, timed } from "./lib/times.mjs";

/** @typedef {[name: string, start: () => Promise<{ code: number, output: string }>]} Check */

const fix = process.argv.includes("--fix");
const lint = [
  "clippy",
  "--workspace",
  "--all-targets",
  "--features",
  "tunesmith-conformance/programs",
  "--release",
  "--locked",
];

/** @type {Check} */
const generate = ["generate", () => runNode(bin.tsx, ["scripts/generate.ts"])];

/** @type {Check[]} */
const checks = [
  ["rustfmt", () => run("cargo", ["fmt", "--all", ...(fix ? [] : ["--check"])])],
  ["biome", () => runNode(bin.biome, ["check", ...(fix ? ["--write"] : []), "--error-on-warnings"])],
  // The same target and profile as the build: nothing is compiled a third time in another folder.
  ["clippy", () => run("cargo", [...lint, "--target", hostTriple(), "--", "-D", "warnings"])],
  ...(fix ? [generate] : []),
  // The types of packages/native are made with the binding.
  ["binding", async () => ({ code: await build({ tasks: ["build:binding"], quiet: true }), output: "" })],
  ["types", () => runNode(bin.tsc, ["-p", "tsconfig.json"])],
  ["architecture", () => runNode(bin.vitest, ["run", "--project", "architecture"])],
];

async function main() {
  if (!(await timed("check", "setup", () => setup({ quiet: true })))) return false;
  let passed = true;
  for (const [name, start] of checks) {
    const begun = Date.now();
    const { code, output } = await start();
    note("check", name, Date.now() - begun);
    console.log(`${name.padEnd(14)}${code === 0 ? green("ok") : red("failed")}  ${seconds(Date.now() - begun)}`);
    if (code !== 0) console.log(output.trimEnd());
    passed &&= code === 0;
  }
  return passed;
}

process.exitCode = (await main()) ? 0 : 1;
