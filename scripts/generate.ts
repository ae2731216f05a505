// npm run generate: writes what is derived from the sources; test/architecture holds the files to it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { fileSchema } from "./options/file-schema.ts";
import { optionPage } from "./options/page.ts";
import { optionTypes } from "./options/types.ts";
import { readResults, reliabilityPage } from "./reliability.ts";

const root = join(import.meta.dirname, "..");

/** A file with the text it should hold. */
export interface Generated {
  path: string;
  text: string;
}

/** Every generated file, as it should be. */
export function generated(): Generated[] {
  return [
    { path: "packages/core/src/options/types.ts", text: optionTypes() },
    { path: "docs/options.md", text: optionPage() },
    { path: "docs/tunesmith.schema.json", text: fileSchema() },
    { path: "benchmarks/reliability.md", text: reliabilityPage(readResults(join(root, "benchmarks/reliability"))) },
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const { path, text } of generated()) writeFileSync(join(root, path), text);
}
