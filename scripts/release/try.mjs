// node scripts/release/try.mjs TARBALLS [TARGET]: installs a release's tarballs into an empty folder and trains three steps. Needs Node and npm.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { npmProgram, root, run } from "../lib/shell.mjs";

/** @typedef {{ name: string, version: string, file: string, triple: string | null }} Tarball one of release.json */

/**
 * Installs tarballs of a release into a folder as npm does for a user: dependencies of ours come from tarballs as well, all others
 * from the registry, and the platform's package is chosen among all of them.
 *
 * @param {string} folder empty, and outside any workspace
 * @param {string} release folder of the tarballs
 * @param {{ names?: string[], others?: Record<string, string>, flags?: string[] }} [options] `names`: packages of ours that the user asks for,
 *   by default all; `others`: more dependencies, with versions; `flags`: of npm
 */
export async function installRelease(folder, release, { names, others = {}, flags = [] } = {}) {
  /** @type {Tarball[]} */
  const list = JSON.parse(readFileSync(join(release, "release.json"), "utf8"));
  const file = (/** @type {Tarball} */ one) => [one.name, `file:${resolve(release, one.file)}`];
  const asked = list.filter(({ name, triple }) => triple === null && (names?.includes(name) ?? true));
  // What is not asked for by name comes in as a dependency of what is, from its tarball too.
  const overrides = list.filter((one) => !asked.includes(one)).map(file);
  const manifest = {
    private: true,
    type: "module",
    dependencies: { ...Object.fromEntries(asked.map(file)), ...others },
    overrides: Object.fromEntries(overrides),
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest, null, 1));
  const npm = npmProgram();
  const args = [...npm.args, "install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error", ...flags];
  const { code, output } = await run(npm.command, args, { cwd: folder });
  if (code !== 0)
    throw new Error(`[npm install] expected the tarballs of ${release} to install, got: ${output.trim()}`);
}

/** What trains: three steps on eight rows, and an answer of the adapter. */
const program = `
import { FastLanguageModel, SFTTrainer } from "tunesmith";
const base = await FastLanguageModel.fromPretrained("model");
const row = { messages: [{ role: "user", content: "hello" }, { role: "assistant", content: "well done" }] };
const trainer = new SFTTrainer({
  model: base.getPeftModel({ r: 4 }),
  trainDataset: Array.from({ length: 8 }, () => row),
  args: { outputDir: "run", maxSteps: 3, learningRate: 1e-2, perDeviceTrainBatchSize: 2 },
});
const losses = [];
for await (const event of trainer.train()) if (event.type === "step") losses.push(event.loss);
const tuned = await FastLanguageModel.fromPretrained("model", { adapter: "run/adapter" });
let answer = "";
for await (const text of tuned.generate("hello", { maxNewTokens: 4 })) answer += text;
console.log(JSON.stringify({ losses, answer }));
`;

/** What is wrong with what the program has printed and left. */
export function trainingFaults(/** @type {number[]} */ losses, /** @type {boolean} */ hasAdapter) {
  const faults = [];
  if (losses.length !== 3) faults.push(`expected 3 steps, got ${losses.length}`);
  if (!losses.every(Number.isFinite)) faults.push(`expected finite losses, got ${losses.join(", ")}`);
  // Eight equal rows: a gradient of the wrong sign, or weights that stay as they are, show at once.
  if (!(Number(losses.at(-1)) < Number(losses[0]))) faults.push(`expected the loss to fall, got ${losses.join(", ")}`);
  if (!hasAdapter) faults.push("expected run/adapter/adapter_model.safetensors, got none");
  return faults;
}

/**
 * Installs, trains, and gives the losses. Throws what went wrong.
 *
 * @param {string} release folder of the tarballs
 * @param {string} [target] the platform whose package npm must choose here
 */
export async function tryRelease(release, target) {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-try-"));
  try {
    await installRelease(folder, release);
    if (target !== undefined) mustBeInstalled(folder, release, target);
    cpSync(join(root, "test/fixtures/models/llama"), join(folder, "model"), { recursive: true });
    writeFileSync(join(folder, "try.mjs"), program);
    const { code, output } = await run(process.execPath, ["try.mjs"], { cwd: folder });
    if (code !== 0) throw new Error(`[try] expected three steps of training, got: ${output.trim()}`);
    const { losses } = /** @type {{ losses: number[] }} */ (JSON.parse(output.trim().split("\n").at(-1) ?? ""));
    const faults = trainingFaults(losses, existsSync(join(folder, "run/adapter/adapter_model.safetensors")));
    if (faults.length > 0) throw new Error(`[try] ${faults.join("; ")}`);
    return losses;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Throws where npm has chosen another platform's package than a target's. */
function mustBeInstalled(/** @type {string} */ folder, /** @type {string} */ release, /** @type {string} */ target) {
  /** @type {Tarball[]} */
  const list = JSON.parse(readFileSync(join(release, "release.json"), "utf8"));
  const wanted = list.find(({ triple }) => triple === target);
  if (wanted === undefined) throw new Error(`[try] expected a tarball for ${target} in ${release}, got none`);
  if (!existsSync(join(folder, "node_modules", wanted.name)))
    throw new Error(`[try] expected npm to choose ${wanted.name} here, got another platform's package`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [release = "release", target] = process.argv.slice(2);
  const losses = await tryRelease(resolve(release), target);
  console.log(`${process.platform} ${process.arch}, Node ${process.version}: losses ${losses.join(", ")}`);
}
