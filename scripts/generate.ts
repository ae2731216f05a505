// npm run generate: writes what is derived from the sources; test/architecture holds the files to it.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { curriculumPage } from "../benchmarks/curriculum/page.ts";
import { withFigures } from "../examples/quickstart/dpo-figures.ts";
import { namesJson, tablePath } from "./names/table.ts";
import { datasetFormatNames } from "./options/dataset-formats.ts";
import { fileSchema } from "./options/file-schema.ts";
import { optionPage } from "./options/page.ts";
import { fieldTypes, modelTypes, optionTypes, preferenceTypes, rewardTypes } from "./options/types.ts";
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
    formatNames(),
    { path: "packages/core/src/options/types.ts", text: optionTypes() },
    { path: "packages/core/src/options/preference-types.ts", text: preferenceTypes() },
    { path: "packages/core/src/options/reward-types.ts", text: rewardTypes() },
    { path: "packages/core/src/options/model-types.ts", text: modelTypes() },
    { path: "packages/core/src/options/field/types.ts", text: fieldTypes() },
    { path: tablePath, text: namesJson(root) },
    { path: "docs/options.md", text: optionPage() },
    { path: "docs/tunesmith.schema.json", text: fileSchema() },
    ...curriculumPage(join(root, "benchmarks/results/curriculum.json")).map(inDocs),
    dpoPage(),
    { path: "benchmarks/reliability.md", text: reliabilityPage(readResults(join(root, "benchmarks/reliability"))) },
  ];
}

const inDocs = ({ name, text }: { name: string; text: string }) => ({ path: `docs/${name}`, text });

function dpoPage(): Generated {
  const path = "docs/dpo.md";
  return { path, text: withFigures(readFileSync(join(root, path), "utf8"), join(root, "benchmarks/results/dpo.json")) };
}

function formatNames(): Generated {
  return { path: "packages/core/src/options/dataset-formats.ts", text: datasetFormatNames() };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { path, text } = formatNames();
  if (readFileSync(join(root, path), "utf8") !== text) {
    writeFileSync(join(root, path), text);
    // The schemas that the rest is made of were read with the old names: another process reads the new ones.
    const { status } = spawnSync("npm", ["run", "-s", "generate"], { cwd: root, stdio: "inherit" });
    process.exit(status ?? 1);
  }
  for (const { path, text } of generated()) writeFileSync(join(root, path), text);
}
