// node benchmarks/peers/setup-peers.mjs: makes the Python environment of the peers and of the fixture generators in the
// folder named by TUNESMITH_PEER_ENV. About 6 GB: torch's own wheel needs the CUDA libraries even where only the CPU is used.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const clone = resolve(here, "../..");
const folder = process.env.TUNESMITH_PEER_ENV ?? "";

/** @param {string} message @returns {never} */
function fail(message) {
  process.stderr.write(`[setup-peers] ${message}\n`);
  process.exit(1);
}

/** @param {string} command @param {string[]} args */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (status !== 0) fail(`expected \`${[command, ...args].join(" ")}\` to succeed, got ${error ?? `exit ${status}`}`);
}

if (!folder) fail("expected TUNESMITH_PEER_ENV to name a folder outside the clone, got nothing; set it and run again");
if (!relative(clone, resolve(folder)).startsWith("..")) {
  fail(`expected TUNESMITH_PEER_ENV outside the clone, got ${folder}; 6 GB of wheels don't belong in it`);
}

const python = join(resolve(folder), process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
if (!existsSync(python)) run("python3", ["-m", "venv", resolve(folder)]);
run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", join(here, "requirements.txt")]);
run(python, [
  "-c",
  "import gguf, peft, torch, transformers; from trl import SFTTrainer; print('peers ready: torch', torch.__version__)",
]);
