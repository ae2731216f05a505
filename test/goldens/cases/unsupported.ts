// Names the golden files of features that are not implemented.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Outcome, unsupported } from "../outcome.ts";

/** Golden files of features that are not implemented, named so that nothing found on the disk goes unmentioned. */
const features: Readonly<Record<string, string>> = {
  "trl/packing.json": "packing several rows into one sequence",
  "misc/rouge.json": "ROUGE-L",
};

export async function unsupportedFeatures(root: string): Promise<Outcome[]> {
  return Object.entries(features).flatMap(([path, feature]) =>
    existsSync(join(root, path)) ? [unsupported(path, feature)] : [],
  );
}
