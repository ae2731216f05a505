// The version step: changelogs and versions from .changeset/ by changesets, and the same version in Cargo's workspace and both locks.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bin, root, run, runNode, runNpm } from "../lib/shell.mjs";
import { cargoVersion } from "./manifests.ts";
import { readPackages } from "./packages.ts";

/** Makes the next version, and gives it. Throws where there is nothing to release. */
export async function nextVersion(): Promise<string> {
  await must("changeset version", runNode(bin.changeset, ["version"], { inherit: true }));
  const version = readPackages()[0]?.manifest.version ?? "";
  const path = join(root, "Cargo.toml");
  const cargo = readFileSync(path, "utf8");
  if (version === cargoVersion(cargo)) throw new Error("[.changeset] expected changes for a new version, got none");
  writeFileSync(path, withVersion(cargo, version));
  await must("cargo update", run("cargo", ["update", "--workspace", "--offline"]));
  await must("npm install", runNpm(["install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]));
  return version;
}

/** The manifest of Cargo's workspace with another version. */
export function withVersion(cargo: string, version: string): string {
  return cargo.replace(/^(\[workspace\.package\]\nversion = ")[^"]+"/m, `$1${version}"`);
}

async function must(what: string, running: Promise<{ code: number; output: string }>): Promise<void> {
  const { code, output } = await running;
  if (code !== 0) throw new Error(`[${what}] expected exit code 0, got ${code}: ${output.trim()}`);
}
