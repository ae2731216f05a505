// What others' tools say of the tarballs: publint of manifests, arethetypeswrong of types under every way to resolve them.
import { join } from "node:path";
import { bin, runNode } from "../lib/shell.mjs";
import type { Packed } from "./pack.ts";
import { type Outcome, unless } from "./report.ts";

/** Asks publint about a tarball. */
export async function publintOf({ file }: Packed, folder: string): Promise<Outcome> {
  const { code, output } = await runNode(bin.publint, ["run", join(folder, file), "--strict"]);
  return unless(code === 0 ? [] : [output.trim()]);
}

/** Asks arethetypeswrong about a tarball. These packages are ES modules: CommonJS gets them by `require` of an ES module. */
export async function typesOf({ file }: Packed, folder: string): Promise<Outcome> {
  const args = [join(folder, file), "--profile", "esm-only", "--format", "table-flipped", "--no-color", "--no-emoji"];
  const { code, output } = await runNode(bin.attw, args);
  return unless(code === 0 ? [] : [output.trim()]);
}
