// Checks the machine and installs what package-lock.json names, once per lock file.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fetchNvcc } from "./cuda.mjs";
import { capture, root, runNpm, yellow } from "./shell.mjs";

const minimum = { node: [20, 19], rust: [1, 95] };

/** True when version `text` ("v20.19.1", "rustc 1.95.0 (…)") is at least `[major, minor]`. */
function atLeast(/** @type {string} */ text, /** @type {number[]} */ [major = 0, minor = 0]) {
  const [, x, y] = /(\d+)\.(\d+)/.exec(text) ?? [];
  return Number(x) > major || (Number(x) === major && Number(y) >= minor);
}

/** What is missing, as errors that stop and notes that do not. */
function inspect() {
  const errors = [];
  const notes = [];
  if (!atLeast(process.version, minimum.node)) {
    errors.push(`[node] expected 20.19 or newer, got ${process.version}; install it from https://nodejs.org`);
  }
  const rustc = capture("rustc", ["--version"]);
  if (rustc === null || capture("cargo", ["--version"]) === null) {
    errors.push("[rust] expected cargo and rustc 1.95, got none; install them from https://rustup.rs");
  } else if (!atLeast(rustc, minimum.rust)) {
    errors.push(`[rust] expected 1.95 or newer, got ${rustc}; run \`rustup update stable\``);
  }
  if (process.platform !== "win32" && capture("g++", ["--version"]) === null) {
    errors.push(
      "[g++] expected a C++ compiler and linker, got none; `apt install g++`, or `xcode-select --install` on macOS",
    );
  }
  if (capture("python3", ["-m", "pip", "--version"]) === null) {
    notes.push(
      "[python3] pip was not found; only the quickstart needs it, and only where the model hub cannot be reached",
    );
  }
  return { errors, notes };
}

const lockFile = join(root, "package-lock.json");
const stampFile = join(root, "node_modules", ".tunesmith-lock");
const lockHash = () => createHash("sha256").update(readFileSync(lockFile)).digest("hex");

/** True when node_modules holds what the lock file names. */
function installed() {
  return existsSync(stampFile) && readFileSync(stampFile, "utf8") === lockHash();
}

/**
 * Makes the checkout ready to build. Resolves to false after printing what is missing.
 *
 * @param {{ quiet?: boolean }} [options] quiet: say nothing when nothing had to be done
 */
export async function setup({ quiet = false } = {}) {
  const { errors, notes } = inspect();
  for (const note of notes) console.log(yellow(note));
  if (errors.length > 0) {
    for (const error of errors) console.error(error);
    return false;
  }
  const note = await fetchNvcc();
  if (note !== null) console.log(yellow(note));
  if (installed()) {
    if (!quiet) console.log("setup: up to date");
    return true;
  }
  console.log("setup: installing npm packages");
  const { code, output } = await runNpm(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  if (code !== 0) {
    console.error(output);
    console.error("[npm ci] expected the packages of package-lock.json to install; the reason is printed above");
    return false;
  }
  writeFileSync(stampFile, lockHash());
  return true;
}
