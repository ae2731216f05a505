// Makes the folder of the GPU checks: stripped programs, small fixtures, peer scripts, run.sh.
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { capture, hostTriple, red, root, run } from "./shell.mjs";

/** Megabytes that a pack may have, so that it can be sent anywhere. */
const limit = 60;
/** Programs: what cargo calls them, and what the pack does. */
const programs = {
  conformance: "conformance",
  goldens: "goldens",
  "tunesmith-kernels": "kernels",
  "tunesmith-steps": "steps",
};
const crates = ["tunesmith-conformance", "tunesmith-kernels", "tunesmith-steps"];
/** Of the golden set, what the program `goldens` reads. */
const goldens = ["goldens", "models", "models-extra", "models-v4-config", "misc"];
/** Libraries of a wheel that no machine with CUDA 13 loads: bitsandbytes carries one for every platform. */
const needless = /^libbitsandbytes_(?!cuda13\d\.so$|cpu\.so$)/;

/**
 * Bytes below a folder.
 *
 * @param {string} path
 * @returns {number}
 */
export function bytesOf(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

/** Removes files of a folder tree by name. */
export function prune(/** @type {string} */ folder, /** @type {RegExp} */ names) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) prune(path, names);
    else if (names.test(entry.name)) rmSync(path);
  }
}

/** Unpacks Python wheels side by side into one folder for PYTHONPATH. */
async function unpack(/** @type {string} */ wheels, /** @type {string} */ site) {
  const files = readdirSync(wheels).filter((name) => name.endsWith(".whl"));
  if (files.length === 0) throw new Error(`[gpu:pack] expected wheels in ${wheels}, got none`);
  mkdirSync(site, { recursive: true });
  for (const file of files) {
    const { code, output } = await run("unzip", ["-q", "-o", join(wheels, file), "-d", site]);
    if (code !== 0) throw new Error(`[gpu:pack] expected unzip to unpack ${file}, got exit ${code}: ${output.trim()}`);
  }
  prune(site, needless);
}

/** Builds the programs; resolves to the folder they are in, or null when they do not compile. */
async function compile(/** @type {boolean} */ emulated) {
  const target = hostTriple();
  const features = ["tunesmith-conformance/programs", ...(emulated ? crates.map((name) => `${name}/emulated`) : [])];
  const selected = [...crates.flatMap((name) => ["-p", name]), "--features", features.join(",")];
  const args = ["build", "--release", "--locked", "--target", target, ...selected];
  // A pack without kernels would be found out on the GPU, whatever the builds here leave out; a rehearsal needs none.
  /** @type {Record<string, string>} */
  const env = emulated ? {} : { TUNESMITH_REQUIRE_CUDA_KERNELS: "1", TUNESMITH_SKIP_NVCC: "0" };
  const { code, output } = await run("cargo", args, { env });
  if (code !== 0) {
    console.error(output);
    return null;
  }
  return join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), target, "release");
}

/**
 * Makes the pack from scratch. Resolves to the exit code.
 *
 * @param {{ out?: string, wheels?: string | undefined, fixtures?: string | undefined, emulated?: boolean }} [options]
 */
export async function pack({
  out = "gpu-pack",
  wheels,
  fixtures = join(root, "test/fixtures"),
  emulated = false,
} = {}) {
  const folder = resolve(root, out);
  if (existsSync(folder) && !existsSync(join(folder, "COMMIT"))) {
    console.error(`[gpu:pack] expected ${out} to be absent or an earlier pack, got another folder; choose --out`);
    return 2;
  }
  const built = await compile(emulated);
  if (built === null) return 1;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "bin"), { recursive: true });
  for (const [program, name] of Object.entries(programs)) cpSync(join(built, program), join(folder, "bin", name));
  const stripped = await run(
    "strip",
    Object.values(programs).map((name) => join(folder, "bin", name)),
  );
  if (stripped.code !== 0) console.error(`[gpu:pack] not stripped: ${stripped.output.trim()}`);
  for (const name of goldens.filter((name) => existsSync(join(fixtures, name)))) {
    cpSync(join(fixtures, name), join(folder, "fixtures", name), { recursive: true });
  }
  const gpu = join(root, "benchmarks/gpu");
  cpSync(join(gpu, "peers"), join(folder, "peers"), {
    recursive: true,
    filter: (path) => !path.includes("__pycache__"),
  });
  cpSync(join(gpu, "run.sh"), join(folder, "run.sh"));
  chmodSync(join(folder, "run.sh"), 0o755);
  cpSync(join(root, "benchmarks/shapes.json"), join(folder, "shapes.json"));
  if (wheels !== undefined) await unpack(resolve(wheels), join(folder, "site"));
  const dirty = capture("git", ["status", "--porcelain"]) === "" ? "" : "-dirty";
  writeFileSync(join(folder, "COMMIT"), `${capture("git", ["rev-parse", "HEAD"]) ?? "unknown"}${dirty}\n`);
  return report(folder, out);
}

function report(/** @type {string} */ folder, /** @type {string} */ out) {
  const megabytes = (/** @type {string} */ path) => bytesOf(path) / 1e6;
  const parts = readdirSync(folder).map((name) => `${name} ${megabytes(join(folder, name)).toFixed(1)}`);
  const total = megabytes(folder);
  console.log(`${out}: ${total.toFixed(1)} MB (${parts.join(", ")}); start it with ${out}/run.sh`);
  if (total <= limit) return 0;
  console.error(red(`[gpu:pack] expected at most ${limit} MB, got ${total.toFixed(1)}; leave out wheels or fixtures`));
  return 1;
}
